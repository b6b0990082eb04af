"""`simulate bitstream`: from the array's parameters to what a board is loaded with."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli.board import OptimizerChoice, SoreOption, lanes_of
from simulator.cli.options import ForceOption
from simulator.cli.progress import steps_shown
from simulator.cli.verilog import PatternChoice, needs_amaranth
from workloads.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rtl.board import Board, Built
    from rtl.lanes import Lanes
    from rtl.parameters import Parameters


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
    out: Annotated[Path | None, typer.Option("--out", help="Folder. [default: the board's name]")] = None,
    force: ForceOption = False,
) -> None:
    """Array, controller and serial port on a board: bitstream, cells used, and the clock that is reached."""
    from rtl.board import board_named, for_board
    from rtl.exported import check_folder
    from rtl.parameters import make_parameters
    from workloads.pattern import parse_pattern

    chosen = parse_pattern(pattern, "--pattern")
    folder = out or Path(board)
    lanes = lanes_of(sore, optimizer)
    if board == "vcu1525":
        if sore or optimizer:
            raise UserError("--sore and --optimizer: the project for vcu1525 is the array alone")
        _vivado(folder, make_parameters(chosen, *_size(rows, cols, 32), form or "fp16"), force)
        return
    which = board_named(board)
    form = form or which.formats[0]
    first = for_board(which, make_parameters(chosen, *_size(rows, cols, 1), form))
    lanes.check(first)
    needs_amaranth()
    check_folder(folder, force)
    with steps_shown() as show:
        sizes = [_size(rows, cols, 1)]
        if rows is None:
            from rtl.fitting import largest_size

            sizes = _sizes(largest_size(which, first, show), cols)
        candidates = [for_board(which, make_parameters(chosen, *size, form)) for size in sizes]
        fitting, built = _largest(which, candidates, show, lanes)
    _write(built, folder, fitting, which)


def _size(rows: int | None, cols: int | None, usual: int) -> tuple[int, int]:
    rows = usual if rows is None else rows
    return rows, rows if cols is None else cols


def _sizes(side: int, cols: int | None) -> list[tuple[int, int]]:
    """Rows and columns to try, the largest first: square, or a column less."""
    if cols is not None:
        return [(rows, cols) for rows in range(side, 0, -1)]
    return [(rows, fewer) for rows in range(side, 0, -1) for fewer in (rows, rows - 1) if fewer]


def _largest(
    board: "Board", candidates: "Sequence[Parameters]", show: "Callable[[str], None]", lanes: "Lanes"
) -> "tuple[Parameters, Built]":
    """The first of the arrays that fits: how many cells placing takes more than synthesis says, only the placer knows.

    Raises DoesNotFit when none does.
    """
    from rtl.board import DoesNotFit

    for p in candidates[:-1]:
        with suppress(DoesNotFit):
            return p, _built(board, p, show, lanes)
    return candidates[-1], _built(board, candidates[-1], show, lanes)


def _built(board: "Board", p: "Parameters", show: "Callable[[str], None]", lanes: "Lanes") -> "Built":
    from rtl.board import build

    return build(board, p, lambda step: show(f"{p.title} for {board.title}: {step}"), lanes)


def _write(built: "Built", folder: Path, p: "Parameters", board: "Board") -> None:
    import json
    import shutil

    from rtl.synthesis import versions

    folder.mkdir(parents=True, exist_ok=True)
    name = f"{board.name}{built.bitstream.suffix}"
    shutil.copy(built.bitstream, folder / name)
    card = {
        "board": board.title,
        "array": p.title,
        "parameters": vars(p),
        "fmax_mhz": built.fmax_mhz,
        "clock_mhz": built.clock_mhz,
        "cells": {cell: {"used": used, "available": there} for cell, (used, there) in built.used.items()},
        "tools": versions(),
    }
    (folder / "utilisation.json").write_text(json.dumps(card, indent=2) + "\n")
    typer.echo(f"{folder}/{name}: {p.title}, {built.fmax_mhz:.1f} MHz reached, {built.clock_mhz:g} MHz on the board")
    for cell, (used, there) in built.used.items():
        typer.echo(f"  {cell:16} {used:6} of {there:6}  {100 * used / there:5.1f} %")


def _vivado(folder: Path, p: "Parameters", force: bool) -> None:
    from rtl.exported import check_folder, write_files
    from rtl.vivado import project

    needs_amaranth()
    check_folder(folder, force)
    with steps_shown() as show:
        files, estimate = project(p, lambda step: show(f"{p.title} for VCU1525: {step}"))
    write_files(folder, files)
    typer.echo(f"{folder}: Vivado project of {p.title} for the VCU1525; nobody here has run it in Vivado")
    typer.echo(f"  {estimate}")
    typer.echo("  vivado -mode batch -source project.tcl")
