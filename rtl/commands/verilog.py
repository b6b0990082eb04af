"""The array, or what stands beside it, as a folder of Verilog that someone can use who has nothing else."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import rtl
from rtl.commands.core import CoreSizes, check_given, write_core
from rtl.commands.options import (
    CoreOption,
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
from workloads.console import console
from workloads.errors import UserError, unknown_name
from workloads.options import ForceOption
from workloads.pattern import parse_pattern
from workloads.terminal import say

if TYPE_CHECKING:
    from rtl.parameters import Parameters

SIDE = 32  # of the array unless told otherwise
BLOCKS = ("array", "sore", "wuve", "linked")
DIVISOR = 25  # 1 Mbaud at the ULX3S's 25 MHz


def verilog(
    pattern: PatternChoice = "2:8",
    rows: Annotated[int | None, typer.Option("--rows", help="Rows of PEs. [default: 32]")] = None,
    cols: Annotated[int | None, typer.Option("--cols", help="Columns of PEs. [default: 32]")] = None,
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
    block: Annotated[
        str, typer.Option("--block", help="array; a lane of sore or wuve; linked: the array behind a serial port.")
    ] = "array",
    sore: SoreOption = False,
    optimizer: OptimizerChoice = "",
    divisor: Annotated[
        int | None,
        typer.Option("--divisor", help="With --block linked: cycles a bit of the serial port. [default: 25]"),
    ] = None,
    core: CoreOption = False,
    west_kib: WestKib = None,
    north_kib: NorthKib = None,
    output_kib: OutputKib = None,
    raw_kib: RawKib = None,
    wuve_kib: WuveKib = None,
    queue_depth: QueueDepth = None,
    prefix: Annotated[str, typer.Option("--prefix", help="Before the names of all modules.", show_default=False)] = "",
    cells: Annotated[
        bool, typer.Option("--cells", help="Count cells for the manifest with Yosys, which takes minutes.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Folder. [default: verilog-PATTERN-FORMAT-SIZE]")] = None,
    force: ForceOption = False,
) -> None:
    """Write the array as a folder that needs nothing else: Verilog, AXI, test benches, README, FuseSoC core."""
    sizes = CoreSizes(west_kib, north_kib, output_kib, raw_kib, wuve_kib, queue_depth)
    if core:
        check_given({"--block": None if block == BLOCKS[0] else block, "--west-link": west_link, "--divisor": divisor})
        check_given({"--sore": sore or None})
        latencies = {"depth": depth, "accumulators": accumulators}
        latencies |= {"multiplier_latency": multiplier_latency, "adder_latency": adder_latency}
        write_core(sizes.asked(pattern, rows, cols, form, optimizer, latencies), prefix, cells, out, force)
        return
    sizes.check_none()
    if block not in BLOCKS:
        raise unknown_name("block", block, BLOCKS, "--block")
    arrays = {
        "--rows": rows,
        "--cols": cols,
        "--depth": depth,
        "--accumulators": accumulators,
        "--west-link": west_link,
        "--multiplier-latency": multiplier_latency,
        "--adder-latency": adder_latency,
    }
    _check_options(block, arrays, sore, optimizer, divisor)
    p = rtl.make_parameters(
        parse_pattern(pattern, "--pattern"),
        SIDE if rows is None else rows,
        SIDE if cols is None else cols,
        form,
        depth,
        accumulators,
        west_link,
        multiplier_latency,
        adder_latency,
    )
    rtl.check_prefix(prefix)
    name = p.title.replace(" ", "-").replace(":", "x")
    named = {
        "array": name,
        "linked": f"linked-{name}",
        "sore": f"sore-{name.rpartition('-')[0]}",
        "wuve": f"wuve-{form}",
    }
    folder = out or Path(f"verilog-{named[block]}")
    rtl.check_folder(folder, rtl.export_owns, force)
    command = " ".join(["simulate", *sys.argv[1:]])
    with console(error=True).status(f"writing {named[block]}"):
        if block == "array":
            files = rtl.export(p, command, prefix, cells)
        else:
            files = rtl.export_block(_block(block, p, sore, optimizer, divisor), command, prefix, cells)
    rtl.write_files(folder, files, rtl.export_owns, force)
    what = f"{p.title}, {p.rows * p.cols} PEs" if block in ("array", "linked") else block.upper()
    bench = next((each for each in files if each.endswith("_tb.v")), None)
    say(f"{folder}: {what}; README.md says how it is used" + ("; run there:" if bench else ""))
    if bench:
        say(f"  iverilog -g2012 -o tb {bench.replace('_tb', '')} {bench} && vvp tb")


def _check_options(block: str, arrays: dict[str, int | None], sore: bool, optimizer: str, divisor: int | None) -> None:
    """Raises UserError for an option that says nothing about this block."""
    given = {**arrays, "--divisor": divisor, "--sore": sore or None, "--optimizer": optimizer or None}
    allowed = {
        "array": set(arrays),
        "sore": set(),
        "wuve": {"--optimizer"},
        "linked": {*arrays, "--divisor", "--sore", "--optimizer"},
    }
    wrong = [name for name, value in given.items() if value is not None and name not in allowed[block]]
    if wrong:
        raise UserError(f"{wrong[0]}: --block {block} has none; it takes {_listed(sorted(allowed[block]))}")
    if divisor is not None and divisor < 4:
        raise UserError(f"--divisor: {divisor} is not possible here; it must be 4 or more")


def _listed(names: list[str]) -> str:
    return ", ".join([*names, "--pattern and --format"])


def _block(block: str, p: "Parameters", sore: bool, optimizer: str, divisor: int | None) -> "rtl.Block":
    if block == "sore":
        return rtl.sore_block(rtl.Lanes(sore=True).sore_lane(p))
    if block == "wuve":
        return rtl.wuve_block(rtl.lanes_of(False, optimizer or "momentum").update_lane(p))
    lanes = rtl.lanes_of(sore, optimizer)
    lanes.check(p)
    return rtl.linked_block(p, DIVISOR if divisor is None else divisor, lanes)
