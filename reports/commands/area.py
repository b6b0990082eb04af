"""LUT, FF, DSP and clock of arrays by pattern and size, and what is left of the speed-up at equal area."""

import sys
from pathlib import Path
from typing import Annotated

import typer

import reports
import rtl
from workloads.pattern import DENSE, parse_pattern
from workloads.terminal import say

USUAL = ["2:4", "2:8", "1:8", "2:16"]
SIZES = [4, 8, 16, 32]


def area(
    patterns: Annotated[
        list[str], typer.Option("--pattern", help="n:m; repeatable. [default: 2:4, 2:8, 1:8, 2:16]", show_default=False)
    ] = [],  # noqa: B006
    sizes: Annotated[
        list[int],
        typer.Option("--size", help="Rows and columns; repeatable. [default: 4, 8, 16, 32]", show_default=False),
    ] = [],  # noqa: B006
    form: Annotated[
        str, typer.Option("--format", help="Operands: fp16, bf16 (sums in FP32) or int8 (INT32).")
    ] = "fp16",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for tables and picture; files of their names are replaced."),
    ] = None,
) -> None:
    """LUT, FF, DSP and clock of arrays by pattern and size, and what is left of the speed-up at equal area."""
    chosen = [DENSE, *(parse_pattern(each, "--pattern") for each in patterns or USUAL)]
    wanted = sorted(set(sizes or SIZES))
    parameters = [rtl.make_parameters(each, wanted[-1], wanted[-1], form) for each in chosen]
    rtl.make_parameters(DENSE, wanted[0], wanted[0], form)  # the smallest can be made too
    table = reports.area_table(reports.synthesised(parameters, wanted))
    say(table.to_string(index=False, float_format=lambda value: f"{value:.2f}"))
    if out is not None:
        reports.write_area(table, out, " ".join(["simulate", *sys.argv[1:]]))
