"""What commands with --core have in common: its sizes from options, its folder, its bitstream, boards that have it."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, final

import rtl
from workloads.console import console
from workloads.errors import UserError
from workloads.pattern import parse_pattern
from workloads.progress import steps_shown
from workloads.terminal import say

if TYPE_CHECKING:
    from rtl.board import Built
    from rtl.core.program import CoreAsked, CoreDesign

KIB = (0.25, 1024)  # the least and the most of a memory
DRAM_KIB = 128  # of a board's block memory unless told otherwise
CORE_BOARD = "ulx3s-85f"  # the one that has room for a core
FORMATS = ("fp16", "bf16")
NONE: Mapping[str, int | None] = {}


@final
@dataclass(frozen=True)
class CoreSizes:
    """Options of a core's memories and queues, by the names that they have on the command line; None: not given."""

    west_kib: float | None = None
    north_kib: float | None = None
    output_kib: float | None = None
    raw_kib: float | None = None
    wuve_kib: float | None = None
    queue_depth: int | None = None
    dram_kib: int | None = None

    def check_none(self) -> None:
        """Raises UserError for one that is given."""
        for each in fields(self):
            if getattr(self, each.name) is not None:
                raise UserError(f"{_option(each.name)}: this is for --core, and it is not given")

    @property
    def dram(self) -> int:
        """Words of a board's DRAM. Raises UserError where that is no power of two."""
        kib = DRAM_KIB if self.dram_kib is None else self.dram_kib
        if kib < 2 or kib & kib - 1:  # no burst is larger than the memory
            raise UserError(f"--dram-kib: {kib} is not possible here; it must be a power of two, 2 or more")
        return 1024 * kib // 8

    def asked(
        self,
        pattern: str,
        rows: int | None,
        cols: int | None,
        form: str,
        optimizer: str,
        more: Mapping[str, int | None] = NONE,
    ) -> "CoreAsked":
        """The core that they ask for, memories not given as usual. Raises UserError for sizes that cannot be."""
        parse_pattern(pattern, "--pattern")
        rtl.lanes_of(False, optimizer)
        if form not in FORMATS:
            raise UserError(f"--format: a core multiplies {' or '.join(FORMATS)}, not {form}")
        sizes = {each.name: getattr(self, each.name) for each in fields(self)}
        for name, value in sizes.items():
            if value is not None and name.endswith("_kib") and not KIB[0] <= value <= KIB[1]:
                raise UserError(f"{_option(name)}: {value:g} is not possible here; it must be {KIB[0]} to {KIB[1]}")
        sizes["queue"], _ = sizes.pop("queue_depth"), sizes.pop("dram_kib")
        size = {"rows": rows, "cols": rows if cols is None else cols}
        given = {name: value for name, value in {**sizes, **size, **more}.items() if value is not None}
        usual = vars(rtl.CoreAsked())
        return rtl.CoreAsked(**{**usual, **given, "pattern": pattern, "form": form, "optimizer": optimizer})


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def check_given(options: Mapping[str, object]) -> None:
    """Raises UserError for an option that says nothing about a core. None: not given."""
    wrong = [name for name, value in options.items() if value is not None]
    if wrong:
        why = "a core has SORE lanes anyway" if wrong[0] == "--sore" else "says nothing about a core"
        raise UserError(f"{wrong[0]}: {why}; --core takes rows and columns, latencies and sizes of memories")


def write_core(asked: "CoreAsked", prefix: str, cells: bool, out: Path | None, force: bool) -> None:
    """Write a core's folder and say where it is."""
    rtl.check_prefix(prefix)
    name = f"{asked.pattern.replace(':', 'x')}-{asked.form}-{asked.rows}x{asked.cols}"
    folder = out or Path(f"verilog-core-{name}")
    rtl.check_folder(folder, rtl.export_owns, force)
    command = " ".join(["simulate", *sys.argv[1:]])
    with console(error=True).status(f"writing the core {name}"):
        design = rtl.core_design(asked)
        files = rtl.export_core(design, rtl.CoreMap(design.layout, asked.queue), command, prefix, cells)
    rtl.write_files(folder, files, rtl.export_owns, force)
    p = design.layout.shape.array
    say(f"{folder}: core of {p.title}, {p.rows * p.cols} PEs; README.md says how a host uses it; run there:")
    say("  python bench/run.py")


def core_bitstream(name: str, sizes: CoreSizes, asked: "CoreAsked", folder: Path, force: bool) -> None:
    """Build a core for a board. Raises UserError for a board that is too small, or where it does not fit."""
    if name != CORE_BOARD:
        if name != "vcu1525":  # which is no board with a bitstream
            rtl.board_named(name)
        raise UserError(f"--board: no core is made for {name}; {CORE_BOARD} has room for one")
    board, dram = rtl.board_named(name), sizes.dram
    rtl.check_folder(folder, rtl.board_owns(board), force)
    design = rtl.core_design(asked)
    where, p = rtl.CoreMap(design.layout, asked.queue), design.layout.shape.array
    with steps_shown() as show:
        built = rtl.build_core(board, where, dram, lambda step: show(f"core of {p.title} for {board.title}: {step}"))
    path = rtl.write_built(built, board, p, folder, force, {"core": vars(asked), "dram_words": dram})
    say_built(path, f"core of {p.title}", built)


def say_built(path: Path, title: str, built: "Built") -> None:
    """What came of building a bitstream."""
    say(f"{path}: {title}, {built.fmax_mhz:.1f} MHz reached, {built.clock_mhz:g} MHz on the board")
    for cell, (used, there) in built.used.items():
        say(f"  {cell:16} {used:6} of {there:6}  {100 * used / there:5.1f} %")


def serve_core(asked: "CoreAsked", sizes: CoreSizes, pins: bool, at: str) -> None:
    """Serve a virtual board with a core."""
    rtl.check_place(at)
    dram, design = sizes.dram, rtl.core_design(asked)
    with steps_shown() as show:
        show(f"core of {design.layout.shape.array.title}: compiling, unless it is in the cache")
        virtual = rtl.VirtualCore(rtl.CoreMap(design.layout, asked.queue), dram, pins)
    rtl.serve(virtual, at, lambda where: say(f"core of {design.layout.shape.array.title} at {where}"))


def try_core(url: str, asked: "CoreAsked") -> None:
    """Carry out the programs of a core on a board that has it. Raises UserError where a result is wrong."""
    design: CoreDesign = rtl.core_design(asked)
    board = rtl.CoreBoard(rtl.CoreMap(design.layout, asked.queue), url)
    memory, wrong = design.memory(), 0
    try:
        say(f"{url}: core of {design.layout.shape.array.title}, {board.identity.dram:,} words of DRAM")
        for program in design.programs:
            ran = board.carry_out(program.pushes, memory)
            if why := board.fault_of(ran):
                raise UserError(f"--selftest: {url}: {program.title}: {why}")
            differ = program.wrong(memory) if ran.cycles >= 0 else len(program.results)
            say(f"  {program.title}: {len(program.results)} words of results, {differ} wrong")
            wrong += differ
        figures = board.figures()
    except rtl.Unconfirmed as error:
        raise UserError(f"--selftest: {error}") from None
    finally:
        board.close()
    say(f"link: {figures.payload} bytes of commands and replies in {figures.seconds:.3f} s")
    if wrong:
        raise UserError(f"--selftest: {url} gives other results than the golden model in {wrong} words")
