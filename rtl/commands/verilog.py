"""The array as Verilog, with a test bench and golden vectors that run in Icarus or Verilator."""

import sys
from pathlib import Path
from typing import Annotated

import typer

import rtl
from rtl.commands.options import PatternChoice
from workloads.console import console
from workloads.options import ForceOption
from workloads.pattern import parse_pattern
from workloads.terminal import say


def verilog(
    pattern: PatternChoice = "2:8",
    rows: Annotated[int, typer.Option("--rows", help="Rows of PEs.")] = 32,
    cols: Annotated[int, typer.Option("--cols", help="Columns of PEs.")] = 32,
    form: Annotated[
        str, typer.Option("--format", help="Operands: fp16, bf16 (sums in FP32) or int8 (INT32).")
    ] = "fp16",
    depth: Annotated[
        int | None, typer.Option("--depth", help="Largest group of dense work. [default: m, at most 8]")
    ] = None,
    accumulators: Annotated[
        int | None, typer.Option("--accumulators", help="Largest interleave. [default: the adder's latency]")
    ] = None,
    west_link: Annotated[
        int | None, typer.Option("--west-link", help="Operands a row takes in a cycle. [default: m, at most 4]")
    ] = None,
    multiplier_latency: Annotated[
        int | None, typer.Option("--multiplier-latency", help="Cycles. [default: 3, or 1 for int8]")
    ] = None,
    adder_latency: Annotated[
        int | None, typer.Option("--adder-latency", help="Cycles. [default: 5, or 1 for int8]")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder. [default: verilog-PATTERN-FORMAT-SIZE]")] = None,
    force: ForceOption = False,
) -> None:
    """Write the array as Verilog, with a test bench and golden vectors that run in Icarus or Verilator."""
    p = rtl.make_parameters(
        parse_pattern(pattern, "--pattern"),
        rows,
        cols,
        form,
        depth,
        accumulators,
        west_link,
        multiplier_latency,
        adder_latency,
    )
    folder = out or Path(f"verilog-{p.title.replace(' ', '-').replace(':', 'x')}")
    rtl.check_folder(folder, rtl.export_owns, force)
    with console(error=True).status(f"writing {p.title}"):
        files = rtl.export(p, " ".join(["simulate", *sys.argv[1:]]))
    rtl.write_files(folder, files, rtl.export_owns, force)
    say(f"{folder}: {p.title}, {p.rows * p.cols} PEs; run there:")
    say("  iverilog -g2005 -o tb sparse_array.v sparse_array_tb.v && vvp tb")
