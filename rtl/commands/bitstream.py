"""Array, controller and serial port on a board: bitstream, cells used, and the clock that is reached."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import rtl
from rtl.commands.core import CoreSizes, check_given, core_bitstream, say_built
from rtl.commands.options import (
    CoreOption,
    DramKib,
    NorthKib,
    OptimizerChoice,
    OutputKib,
    PatternChoice,
    QueueDepth,
    RawKib,
    SoreOption,
    WestKib,
    WuveKib,
)
from workloads.errors import UserError
from workloads.options import ForceOption
from workloads.pattern import parse_pattern
from workloads.progress import steps_shown
from workloads.terminal import say

if TYPE_CHECKING:
    from rtl.parameters import Parameters

VCU1525 = "vcu1525"  # a project for Vivado, no bitstream
SIDE = 32  # of the array in it, unless told otherwise


def bitstream(
    board: Annotated[str, typer.Option("--board", help="ulx3s-85f, ice40-hx8k, icebreaker, or vcu1525 (a project).")],
    pattern: PatternChoice = "2:8",
    form: Annotated[
        str | None, typer.Option("--format", help="Operands. [default: fp16, int8 on iCE40]", show_default=False)
    ] = None,
    rows: Annotated[int | None, typer.Option("--rows", help="Rows of PEs. [default: the most that fit]")] = None,
    cols: Annotated[int | None, typer.Option("--cols", help="Columns of PEs. [default: as many as rows]")] = None,
    sore: SoreOption = False,
    optimizer: OptimizerChoice = "",
    core: CoreOption = False,
    west_kib: WestKib = None,
    north_kib: NorthKib = None,
    output_kib: OutputKib = None,
    raw_kib: RawKib = None,
    wuve_kib: WuveKib = None,
    queue_depth: QueueDepth = None,
    dram_kib: DramKib = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder, for this board alone. [default: its name]")] = None,
    force: ForceOption = False,
) -> None:
    """Array, controller and serial port on a board: bitstream, cells used, and the clock that is reached."""
    chosen, folder = parse_pattern(pattern, "--pattern"), out or Path(board)
    sizes = CoreSizes(west_kib, north_kib, output_kib, raw_kib, wuve_kib, queue_depth, dram_kib)
    if core:
        check_given({"--sore": sore or None})
        core_bitstream(board, sizes, sizes.asked(pattern, rows, cols, form or "fp16", optimizer), folder, force)
        return
    sizes.check_none()
    lanes = rtl.lanes_of(sore, optimizer)
    if board == VCU1525:
        if sore or optimizer:
            raise UserError("--sore and --optimizer: the project for vcu1525 is the array alone")
        _vivado(folder, rtl.make_parameters(chosen, *_size(rows, cols, SIDE), form or "fp16"), force)
        return
    which = rtl.board_named(board)
    first = rtl.for_board(which, rtl.make_parameters(chosen, *_size(rows, cols, 1), form or which.formats[0]))
    lanes.check(first)
    rtl.check_folder(folder, rtl.board_owns(which), force)
    with steps_shown() as show:
        if rows is None:
            p, built = rtl.build_largest(which, first, cols, show, lanes)
        else:
            p, built = rtl.build_shown(which, first, show, lanes)
    path = rtl.write_built(built, which, p, folder, force)
    say_built(path, p.title, built)


def _size(rows: int | None, cols: int | None, usual: int) -> tuple[int, int]:
    rows = usual if rows is None else rows
    return rows, rows if cols is None else cols


def _vivado(folder: Path, p: "Parameters", force: bool) -> None:
    rtl.check_folder(folder, rtl.project_owns, force)
    with steps_shown() as show:
        files, estimate = rtl.vivado_project(p, lambda step: show(f"{p.title} for VCU1525: {step}"))
    rtl.write_files(folder, files, rtl.project_owns, force)
    say(f"{folder}: Vivado project of {p.title} for the VCU1525; nobody here has run it in Vivado")
    say(f"  {estimate}")
    say("  vivado -mode batch -source project.tcl")
