"""The array with controller, link and serial port on a board: how large it can be, and what the tools make of it."""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from amaranth import Elaboratable, Module
from amaranth.lib import io, wiring

from rtl.array import block_verilog, blocks_verilog
from rtl.boards import Board, DoesNotFit
from rtl.controller import NONE
from rtl.core.compiled import lane_verilog
from rtl.core.registers import CoreMap
from rtl.files import CARD, ToolFailed, board_owns, read_report, write_files
from rtl.lanes import Lanes
from rtl.link.core_linked import LinkedCore
from rtl.link.linked import LinkedArray, PinnedArray
from rtl.parameters import Parameters
from rtl.placing import as_instance
from rtl.synthesis import SYNTHESIS, Placed, cached, cells_by_module, cells_of, room, total, versions
from workloads.errors import UserError
from workloads.files.kept import CACHED_BYTES
from workloads.files.reading import read_bytes

BAUD = 1_000_000
AIM = 4  # times the board's clock
ROUTER = "router2"  # of cores: router1 takes hours for them
FREQUENCY = re.compile(r"((?:FREQUENCY PORT|set_frequency) \S+ )([\d.]+)")  # of Amaranth's LPF and PCF
TOO_LARGE = ("no bels remaining", "failed to place", "unable to place", "failed to expand region")  # nextpnr's words


@dataclass(frozen=True)
class Built:
    """A bitstream, with what the placer says: MHz it reaches, MHz it gets on the board, cells used and there."""

    bitstream: Path
    report: Path
    fmax_mhz: float
    clock_mhz: float
    used: Mapping[str, tuple[int, int]]


class BoardTop(Elaboratable):
    """What is linked to a host, on a board: over its serial port."""

    def __init__(self, linked: wiring.Component, baud: int = BAUD) -> None:
        self.linked, self.baud = linked, baud

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        divisor = round(platform.default_clk_frequency / self.baud)  # type: ignore[attr-defined]
        m.submodules.pinned = pinned = PinnedArray(self.linked, divisor)
        pins = platform.request("uart", 0, dir="-")  # type: ignore[attr-defined]
        m.submodules.rx, m.submodules.tx = rx, tx = io.Buffer("i", pins.rx), io.Buffer("o", pins.tx)
        m.d.comb += [pinned.rx_pin.eq(rx.i), tx.o.eq(pinned.tx_pin)]
        return m


def build(board: Board, p: Parameters, show: Callable[[str], None], lanes: Lanes = NONE) -> Built:
    """An array on a board, as `build_linked` does it."""
    linked = LinkedArray(p, place=as_instance, lanes=lanes)
    return build_linked(board, linked, blocks_verilog(p), f"an array of {p.title}", show)


def build_core(board: Board, where: CoreMap, dram: int, show: Callable[[str], None]) -> Built:
    """A core with `dram` words of block memory, as `build_linked` does it."""
    layout = where.layout
    blocks = f"{blocks_verilog(layout.shape.edge)}\n{lane_verilog(layout)}"
    board = replace(board, place=tuple(ROUTER if each == "router1" else each for each in board.place))
    what = f"a core of {layout.shape.array.title} with {dram:,} words of DRAM"
    return build_linked(board, LinkedCore(where, dram), blocks, what, show)


def build_linked(board: Board, linked: wiring.Component, blocks: str, what: str, show: Callable[[str], None]) -> Built:
    """Synthesis, placement, packing; from the cache when nothing has changed. `show` is told of each step.

    blocks: Verilog of what it refers to. Raises DoesNotFit when it is too large for the device, UserError for a tool
    that is missing.
    """
    platform = _platform(board)
    show("writing the design")
    # read by the toolchain's template, which the steps below take the place of
    plan = platform.prepare(BoardTop(linked), "top", verbose=False)
    constraints, option = board.constraints
    files = {name: _text(plan.files[name]) for name in ("top.il", constraints)}
    files[constraints] = hurried(files[constraints])
    files["blocks.v"] = blocks
    tool, placed, placed_option, bitstream = board.pack
    # every kind of block is synthesised once, then put where it is used
    synthesis = SYNTHESIS[board.synthesis].format(top="top").replace(" -json design.json", " -noflatten")
    script = "read_rtlil top.il; read_verilog blocks.v; rename -hide */w:*[*; "
    script += f"{synthesis}; flatten; opt_clean; write_json design.json"
    place = [*board.place, "--json", "design.json", option, constraints, placed_option, placed, "-q"]
    steps = [
        ("yosys", ["-q", "-p", script]),
        (f"nextpnr-{board.family}", [*place, "--report", "report.json", "--timing-allow-fail"]),
        (tool, [placed, bitstream]),
    ]
    try:
        folder = cached(files, steps, (bitstream, "report.json"), show)
    except ToolFailed as error:
        if not any(each in error.words.lower() for each in TOO_LARGE):
            raise
        raise DoesNotFit(f"--board: {what} does not fit {board.title}; try fewer rows and columns") from None
    report = read_report(folder / "report.json", Placed)
    used = {name: (each.used, each.available) for name, each in report.utilization.items() if each.used}
    frequency = float(platform.default_clk_frequency) / 1e6
    return Built(folder / bitstream, folder / "report.json", report.clock, frequency, used)


def write_built(
    built: Built,
    board: Board,
    p: Parameters,
    folder: Path,
    force: bool = False,
    more: Mapping[str, object] | None = None,
) -> Path:
    """Write the bitstream, and in `utilisation.json` what it is and takes, `more` among it. Returns where it is."""
    card = {
        "board": board.title,
        "array": p.title,
        "parameters": vars(p),
        **(more or {}),
        "fmax_mhz": built.fmax_mhz,
        "clock_mhz": built.clock_mhz,
        "cells": {cell: {"used": used, "available": there} for cell, (used, there) in built.used.items()},
        "tools": versions(),
    }
    made, text = read_bytes(built.bitstream, CACHED_BYTES), json.dumps(card, indent=2) + "\n"
    files = {board.bitstream: made, CARD: text.encode()}
    write_files(folder, files, board_owns(board), force)
    return folder / board.bitstream


def hurried(constraints: str) -> str:
    """Constraints that ask for AIM times the board's clock: placer and router take pains with what would miss it."""
    return FREQUENCY.sub(lambda found: f"{found[1]}{AIM * float(found[2]):.1f}", constraints)


def _text(content: str | bytes) -> str:
    return content.decode() if isinstance(content, bytes) else content


def _platform(board: Board) -> object:
    module, _, name = board.platform.partition(":")
    return getattr(import_module(module), name)()


def build_largest(
    board: Board, first: Parameters, cols: int | None, show: Callable[[str], None], lanes: Lanes
) -> tuple[Parameters, Built]:
    """The largest array like `first` that fits, with so many columns: without them square, or a column less.

    How many cells placing takes more than synthesis says, only the placer knows. Raises DoesNotFit when none fits.
    """
    sizes = _sizes(largest_size(board, first, show), cols)
    for rows, columns in sizes[:-1]:
        with suppress(DoesNotFit):
            return build_shown(board, replace(first, rows=rows, cols=columns), show, lanes)
    return build_shown(board, replace(first, rows=sizes[-1][0], cols=sizes[-1][1]), show, lanes)


def build_shown(board: Board, p: Parameters, show: Callable[[str], None], lanes: Lanes) -> tuple[Parameters, Built]:
    """The array and what came of building it; `show` is told of each step. Raises UserError as `build` does."""
    return p, build(board, p, lambda step: show(f"{p.title} for {board.title}: {step}"), lanes)


def _sizes(side: int, cols: int | None) -> list[tuple[int, int]]:
    """Rows and columns to try, the largest first."""
    if cols is not None:
        return [(rows, cols) for rows in range(side, 0, -1)]
    return [(rows, fewer) for rows in range(side, 0, -1) for fewer in (rows, rows - 1) if fewer]


def largest_size(board: Board, p: Parameters, show: Callable[[str], None]) -> int:
    """Rows and columns of the largest square array that a board should hold.

    A small one with controller and link is synthesised; the PEs grow with the square of the side, all else with the
    side at most. Raises UserError when not even one PE fits.
    """
    show(f"{p.title}: how many PEs fit {board.title}")
    small = replace(p, rows=2, cols=2)
    whole = block_verilog(LinkedArray(small, place=as_instance), "linked_array") + blocks_verilog(small)
    modules = cells_by_module(whole, "linked_array", board.synthesis)
    pe, every = (cells_of(total(modules, name)) for name in ("sparse_pe", "linked_array"))
    beside = (room(every, board.family) - 4 * room(pe, board.family)) / 2
    for side in range(16, 0, -1):
        cells = side * side * room(pe, board.family) + side * beside
        if cells <= board.fill * board.luts and side * side * pe.dsps <= board.dsps:
            return side
    raise UserError(f"--board: {board.title} is too small for a PE of {p.title}")
