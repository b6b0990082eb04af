"""`simulate verilog`: the array as Verilog, with a test bench and golden vectors for one's own simulator."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli.options import ForceOption

if TYPE_CHECKING:
    from rtl.parameters import Parameters

PatternChoice = Annotated[str, typer.Option("--pattern", help="n:m such as 2:8, 'bank n:m', or dense.")]
FormatChoice = Annotated[str, typer.Option("--format", help="Operands: fp16, bf16 (sums in FP32) or int8 (INT32).")]
RowsChoice = Annotated[int, typer.Option("--rows", help="Rows of PEs.")]
ColsChoice = Annotated[int, typer.Option("--cols", help="Columns of PEs.")]
DepthChoice = Annotated[
    int | None, typer.Option("--depth", help="Largest group of dense work. [default: m, at most 8]")
]
InterleaveChoice = Annotated[
    int | None, typer.Option("--accumulators", help="Largest interleave. [default: the adder's latency]")
]
LinkChoice = Annotated[
    int | None, typer.Option("--west-link", help="Operands a row takes in a cycle. [default: m, at most 4]")
]
MultiplierChoice = Annotated[
    int | None, typer.Option("--multiplier-latency", help="Cycles. [default: 2, or 1 for int8]")
]
AdderChoice = Annotated[int | None, typer.Option("--adder-latency", help="Cycles. [default: 4, or 1 for int8]")]


def verilog(
    pattern: PatternChoice = "2:8",
    rows: RowsChoice = 32,
    cols: ColsChoice = 32,
    form: FormatChoice = "fp16",
    depth: DepthChoice = None,
    accumulators: InterleaveChoice = None,
    west_link: LinkChoice = None,
    multiplier_latency: MultiplierChoice = None,
    adder_latency: AdderChoice = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder. [default: verilog-PATTERN-FORMAT-SIZE]")] = None,
    force: ForceOption = False,
) -> None:
    """Write the array as Verilog, with a test bench and golden vectors that run in Icarus or Verilator."""
    from rtl.parameters import make_parameters
    from workloads.pattern import parse_pattern

    p = make_parameters(
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
    needs_amaranth()
    folder = out or Path(f"verilog-{p.title.replace(' ', '-').replace(':', 'x')}")
    _write(p, folder, force)
    typer.echo(f"{folder}: {p.title}, {p.rows * p.cols} PEs; run there:")
    typer.echo("  iverilog -g2005 -o tb sparse_array.v sparse_array_tb.v && vvp tb")


def _write(p: "Parameters", folder: Path, force: bool) -> None:
    from rich.console import Console

    from rtl.exported import check_folder, export, write_files

    check_folder(folder, force)
    with Console(stderr=True).status(f"writing {p.title}"):
        files = export(p, " ".join(["simulate", *sys.argv[1:]]))
    write_files(folder, files)


def needs_amaranth() -> None:
    """Raises UserError where the hardware's libraries are not installed."""
    from importlib.util import find_spec

    from workloads.errors import UserError

    if find_spec("amaranth") is None:
        raise UserError("hardware needs Amaranth and its tools: pip install 'sparsehil[rtl]'")
