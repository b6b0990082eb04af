"""Serve a virtual board, or try a board: a fixed set of tiles against the golden model."""

from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

import rtl
from rtl.commands.core import CoreSizes, check_given, serve_core, try_core
from rtl.commands.options import (
    CoreOption,
    DramKib,
    NorthKib,
    OptimizerChoice,
    OutputKib,
    QueueDepth,
    RawKib,
    SoreOption,
    WestKib,
    WuveKib,
)
from workloads.errors import UserError
from workloads.pattern import parse_pattern
from workloads.progress import steps_shown
from workloads.terminal import say

if TYPE_CHECKING:
    from rtl.lanes import Lanes
    from rtl.parameters import Parameters

USUAL = ("2:8", "fp16", 8)


def board(
    serve: Annotated[bool, typer.Option("--serve", help="A virtual board: compiled gateware behind a port.")] = False,
    selftest: Annotated[
        str | None, typer.Option("--selftest", metavar="URL", help="Try a board: /dev/ttyUSB0 or any pyserial URL.")
    ] = None,
    pattern: Annotated[str | None, typer.Option("--pattern", help="n:m or dense. [default: 2:8]")] = None,
    form: Annotated[str | None, typer.Option("--format", help="fp16, bf16 or int8. [default: fp16]")] = None,
    rows: Annotated[int | None, typer.Option("--rows", help="Rows of PEs. [default: 8]")] = None,
    cols: Annotated[int | None, typer.Option("--cols", help="Columns of PEs. [default: as many as rows]")] = None,
    tcp: Annotated[
        str | None, typer.Option("--tcp", help="Where to serve, this machine only. [default: 127.0.0.1, any free port]")
    ] = None,
    pty: Annotated[bool, typer.Option("--pty", help="Serve a pseudo-terminal instead.")] = False,
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
    pins: Annotated[bool, typer.Option("--pins", help="Bit by bit, over the pins of a serial port; slower.")] = False,
) -> None:
    """Serve a virtual board, or try a board: a fixed set of tiles against the golden model. Without an array on the
    command line, --selftest takes the one that the board has."""
    _check(serve, selftest, bool(tcp or pty or pins or sore or (optimizer and not core)), bool(tcp and pty))
    at = "pty" if pty else f"tcp {tcp or '127.0.0.1:0'}"
    sizes = CoreSizes(west_kib, north_kib, output_kib, raw_kib, wuve_kib, queue_depth, dram_kib)
    if core:
        check_given({"--sore": sore or None})
        asked = sizes.asked(pattern or USUAL[0], rows, cols, form or USUAL[1], optimizer)
        if selftest is not None:
            try_core(selftest, asked)
        else:
            serve_core(asked, sizes, pins, at)
        return
    sizes.check_none()
    lanes = rtl.lanes_of(sore, optimizer)
    named = any(each is not None for each in (pattern, form, rows, cols))
    wanted = _parameters(pattern, form, rows, cols) if serve or named else None
    if selftest is not None:
        _try(selftest, wanted)
    elif wanted is not None:
        lanes.check(wanted)
        _serve(wanted, pins, lanes, at)


def _check(serve: bool, selftest: str | None, of_serve: bool, both: bool) -> None:
    if serve == (selftest is not None):
        raise UserError("board: give either --serve or --selftest URL")
    if selftest is not None and of_serve:
        raise UserError("--tcp, --pty, --pins, --sore and --optimizer are for --serve; --selftest takes a port or URL")
    if both:
        raise UserError("--tcp and --pty: a virtual board is served at one place")


def _parameters(pattern: str | None, form: str | None, rows: int | None, cols: int | None) -> "Parameters":
    side = USUAL[2] if rows is None else rows
    chosen = parse_pattern(pattern or USUAL[0], "--pattern")
    return rtl.make_parameters(chosen, side, side if cols is None else cols, form or USUAL[1])


def _serve(p: "Parameters", pins: bool, lanes: "Lanes", at: str) -> None:
    rtl.check_place(at)
    compiled = rtl.VirtualBoard  # what it needs is missed before anything is said
    with steps_shown() as show:
        show(f"{p.title}: compiling, unless it is in the cache")
        virtual = compiled(p, pins, lanes=lanes)
    rtl.serve(virtual, at, lambda where: say(f"{p.title} at {where}"))


def _try(url: str, wanted: "Parameters | None") -> None:
    tried, tried_lanes = rtl.tried, rtl.tried_lanes  # what they need is missed before a board is opened
    with rtl.Board(wanted, url) as there:
        say(f"{url}: {there.parameters.title}")
        say(f"{'dataflow':18} {'tiles':>6} {'bits':>8} {'wrong':>6} {'cycles':>8} {'tiles off':>9}")
        failed = []
        try:
            for each in chain(tried(there), tried_lanes(there, there.gateware.lanes)):
                numbers = f"{each.tiles:6} {each.bits:8} {each.wrong_bits:6} {each.cycles:8} {each.wrong_cycles:9}"
                say(f"{each.dataflow:18} {numbers}")
                failed += [] if each.passed else [each.dataflow]
        except rtl.Unconfirmed as error:
            raise UserError(f"--selftest: {error}") from None
        figures = there.figures()
    rate = figures.payload / max(figures.seconds, 1e-9)
    say(f"link: {figures.payload} bytes of commands and replies in {figures.seconds:.3f} s, {rate:.0f} a second")
    if failed:
        raise UserError(f"--selftest: {url} gives other sums or cycles than the golden model: {', '.join(failed)}")
