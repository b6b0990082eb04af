"""Boards: the array with controller, link and serial port as a design for one, and what the tools make of it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from amaranth import Elaboratable, Module
from amaranth.lib import io

from rtl.controller import NONE
from rtl.lanes import Lanes
from rtl.link.linked import LinkedArray, PinnedArray
from rtl.parameters import Parameters
from rtl.placing import as_instance
from rtl.protocol import GROUPS, SUMS, WEIGHTS
from rtl.synthesis import SYNTHESIS, cached
from rtl.verilog import blocks_verilog
from workloads.errors import UserError, unknown_name

BAUD = 1_000_000
TOO_LARGE = ("no bels remaining", "failed to place", "unable to place", "failed to expand region")  # nextpnr's words


class DoesNotFit(UserError):
    """An array with all that is around it is larger than the device."""


@dataclass(frozen=True)
class Board:
    """A board whose tools pip installs. `luts` the device has, of which `fill` can be used before routing gives up."""

    name: str
    title: str
    platform: str
    family: str
    place: tuple[str, ...]
    pack: tuple[str, str, str, str]  # tool, what the placer writes, its option, the bitstream
    constraints: tuple[str, str]  # file and the placer's option
    luts: int
    dsps: int
    formats: tuple[str, ...]
    queues: tuple[int, int, int]
    fill: float = 0.85

    @property
    def synthesis(self) -> str:
        """Name of the synthesis script: multipliers are used where there are any."""
        return f"{self.family}-dsp" if self.family == "ice40" and self.dsps else self.family


_ECP5 = ("ecppack", "top.config", "--textcfg", "top.bit")
_ICE40 = ("icepack", "top.asc", "--asc", "top.bin")
ANY = ("fp16", "bf16", "int8")
BOARDS = {
    board.name: board
    for board in (
        Board(
            "ulx3s-85f", "ULX3S, Lattice ECP5 LFE5U-85F", "amaranth_boards.ulx3s:ULX3S_85F_Platform", "ecp5",
            ("--85k", "--package", "CABGA381", "--speed", "6"), _ECP5, ("top.lpf", "--lpf"),
            83640, 156, ANY, (WEIGHTS, SUMS, GROUPS),
        ),
        Board(
            "ice40-hx8k", "iCE40-HX8K breakout board", "amaranth_boards.ice40_hx8k_b_evn:ICE40HX8KBEVNPlatform",
            "ice40", ("--hx8k", "--package", "ct256"), _ICE40, ("top.pcf", "--pcf"),
            7680, 0, ("int8",), (WEIGHTS, SUMS, 16),
        ),
        Board(
            "icebreaker", "iCEBreaker, iCE40-UP5K", "amaranth_boards.icebreaker:ICEBreakerPlatform",
            "ice40", ("--up5k", "--package", "sg48"), _ICE40, ("top.pcf", "--pcf"),
            5280, 8, ("int8",), (WEIGHTS, SUMS, 16),
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Built:
    """A bitstream, with what the placer says: MHz it reaches, MHz it gets on the board, cells used and there."""

    bitstream: Path
    report: Path
    fmax_mhz: float
    clock_mhz: float
    used: Mapping[str, tuple[int, int]]


class BoardTop(Elaboratable):
    """The array on a board: the framed link over its serial port."""

    def __init__(self, parameters: Parameters, baud: int = BAUD, weights: int = WEIGHTS, lanes: Lanes = NONE) -> None:
        self.parameters, self.baud, self.weights, self.lanes = parameters, baud, weights, lanes

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        divisor = round(platform.default_clk_frequency / self.baud)  # type: ignore[attr-defined]
        linked = LinkedArray(self.parameters, self.weights, place=as_instance, lanes=self.lanes)
        m.submodules.pinned = pinned = PinnedArray(linked, divisor)
        pins = platform.request("uart", 0, dir="-")  # type: ignore[attr-defined]
        m.submodules.rx, m.submodules.tx = rx, tx = io.Buffer("i", pins.rx), io.Buffer("o", pins.tx)
        m.d.comb += [pinned.rx_pin.eq(rx.i), tx.o.eq(pinned.tx_pin)]
        return m


def board_named(name: str) -> Board:
    """The board of that name. Raises UserError with the list and the nearest match."""
    if name not in BOARDS:
        raise unknown_name("board", name, [*BOARDS, "vcu1525"], "--board")
    return BOARDS[name]


def for_board(board: Board, p: Parameters) -> Parameters:
    """The same array with a board's queues. Raises UserError for a format the board is too small for."""
    if p.format not in board.formats:
        allowed = ", ".join(board.formats)
        raise UserError(f"--format: {board.name} is too small for {p.format} (it takes {allowed})")
    _, sums, groups = board.queues
    return replace(p, results=sums, buffer=max(p.buffer, groups))


def build(board: Board, p: Parameters, show: Callable[[str], None], lanes: Lanes = NONE) -> Built:
    """Synthesis, placement, packing; from the cache when nothing has changed. `show` is told of each step.

    Raises DoesNotFit when the array is too large for the device, UserError when a tool is missing.
    """
    platform = _platform(board)
    show("writing the design")
    # read by the toolchain's template, which the steps below take the place of
    plan = platform.prepare(BoardTop(p, weights=board.queues[0], lanes=lanes), "top", verbose=False)
    constraints, option = board.constraints
    files = {name: _text(plan.files[name]) for name in ("top.il", constraints)}
    files["blocks.v"] = blocks_verilog(p)
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
    except RuntimeError as error:
        if not any(each in str(error).lower() for each in TOO_LARGE):
            raise
        raise DoesNotFit(
            f"--board: an array of {p.title} does not fit {board.title}; try fewer rows and columns"
        ) from None
    report = json.loads((folder / "report.json").read_text())
    clock = max(report["fmax"].values(), key=lambda each: each["achieved"])
    used = {name: (each["used"], each["available"]) for name, each in report["utilization"].items() if each["used"]}
    frequency = float(platform.default_clk_frequency) / 1e6
    return Built(folder / bitstream, folder / "report.json", clock["achieved"], frequency, used)


def _text(content: str | bytes) -> str:
    return content.decode() if isinstance(content, bytes) else content


def _platform(board: Board) -> object:
    module, _, name = board.platform.partition(":")
    try:
        return getattr(import_module(module), name)()
    except ModuleNotFoundError:
        raise UserError("boards need amaranth-boards: pip install 'sparsehil[rtl]'") from None
