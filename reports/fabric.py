"""A product on a fabric as tables: the run, its threads' time, its resources, its hash tables, its load over time."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reports.losses import STALL_NAMES
from reports.phases import phase_table
from reports.terminal import wide_console
from simulator.result import Result

BARS = " ▁▂▃▄▅▆▇█"


def print_product(result: Result, folder: Path) -> None:
    """One product of matrices."""
    console, card, row = wide_console(), result.card, result.ops.iloc[0]
    fabric, seconds = card["fabric"], int(row["cycles"]) / (float(card["clock_mhz"]) * 1e6)
    console.print(f"[bold]{escape(_title(card))}[/]")
    moved = bytes_moved(result)
    console.print(
        f"{int(row['cycles']):,} cycles, {seconds * 1e3:,.3f} ms; {fabric['multiplies']:,} products into "
        f"{fabric['stored']:,} elements, {2 * fabric['multiplies'] / seconds / 1e9:.2f} GFLOP/s"
    )
    console.print(
        f"memory {moved['dram.read'] / 1e6:,.1f} MB read, {moved['dram.write'] / 1e6:,.1f} MB written, "
        f"{sum(moved.values()) / seconds / 1e9:.1f} GB/s; {fabric['instructions_per_cycle']:.2f} instructions a cycle, "
        f"{fabric['instructions_per_cycle'] / int(row['pes']):.3f} a pipeline"
    )
    console.print(_shares("of the threads' time", fabric["thread_time"]))
    console.print(_shares("in use", fabric["used"]))
    _tables(console, fabric)
    _timeline(console, fabric["timeline"])
    _ends(console, card, folder)


def print_fabric_step(sparse: Result, dense: Result, folder: Path) -> None:
    """A training step in blocks: the table per phase, and what pipelines waited for."""
    console, card = wide_console(), sparse.card
    title = (
        f"{card['model']} {card['mode']} step, batch {card['batch']}, {card['method']} {card['pattern']}, on "
        f"{card['arch']} ({card['arch_title']}), kernel {card['kernel']}"
    )
    console.print(f"[bold]{escape(title)}[/]")
    table = _plain("phase", "cycles", "ms", "multiplies a pipeline cycle", "dense weights", "speed-up")
    for phase, row in phase_table(sparse, dense).iterrows():
        shown = (f"{row['cycles']:,.0f}", f"{row['seconds'] * 1e3:,.2f}", f"{row['utilisation']:.3f}")
        table.add_row(str(phase), *shown, f"{row['dense_cycles']:,.0f}", f"{row['speedup']:.2f}x")
    console.print(table)
    total = max(1, sparse.cycles)
    waits = {name: int(sparse.ops[f"stall_{stall.value}"].sum()) / total for stall, name in STALL_NAMES.items()}
    issuing = int(sparse.ops["busy_cycles"].sum()) / total
    console.print(_shares("of the pipelines' time", {"issuing": issuing, **waits}))
    console.print("[dim]Every op is a block of its product that stands for the whole (column `detail`).[/]")
    _ends(console, card, folder)


def bytes_moved(result: Result) -> dict[str, int]:
    """Bytes of memory read and written."""
    kinds = result.actions.groupby("kind")["amount"].sum()
    return {kind: int(kinds.get(kind, 0)) for kind in ("dram.read", "dram.write")}


def _title(card: Mapping[str, Any]) -> str:
    sizes = "; ".join(
        f"{each['name']} {each['rows']:,} x {each['cols']:,}, {each['nonzeros']:,} stored"
        for each in {each["name"]: each for each in card["matrices"].values()}.values()
    )
    return f"{card['model']} ({sizes}) by {card['kernel']} on {card['arch']} at {card['clock_mhz']:g} MHz (assumed)"


def _shares(title: str, shares: Mapping[str, float]) -> Table:
    table = _plain(title, "share")
    for name, share in sorted(shares.items(), key=lambda each: -each[1]):
        if share >= 0.0005:
            table.add_row(name, f"{share:.1%}")
    return table


def _tables(console: Console, fabric: Mapping[str, Any]) -> None:
    if not fabric["probe_lengths"]:
        return
    lengths, occupancy = fabric["probe_lengths"], fabric["occupancy"]
    products = max(1, sum(lengths))
    console.print(
        f"{fabric['windows']:,} windows, {fabric['split_rows']:,} rows split; tables {occupancy['least']:.1%} to "
        f"{occupancy['most']:.1%} full, {occupancy['mean']:.1%} on average; {fabric['steps'] / products:.2f} probes a "
        f"product, {lengths[0] / products:.1%} need one, the longest {len(lengths)}{'+' if len(lengths) == 64 else ''}"
    )


def _timeline(console: Console, timeline: Mapping[str, Any]) -> None:
    console.print(f"threads at work, core by core, a column {timeline['bin_cycles']:,.0f} cycles:")
    for core, shares in enumerate(timeline["working"]):
        console.print(f"  {core:3d} |{''.join(BARS[min(8, round(share * 8))] for share in shares)}|")


def _ends(console: Console, card: Mapping[str, Any], folder: Path) -> None:
    numbers = card["numbers"]
    assumed = ", ".join(f"{path}={numbers[path]['value']}" for path in card["assumed"])
    console.print(f"[dim]Assumed ({len(card['assumed'])}, reasons in the result): {escape(assumed)}[/]")
    console.print(f"[dim]Simulated in {card['cost']['simulation_seconds']:.2f} s. Result: {escape(str(folder))}[/]")


def _plain(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(names):
        table.add_column(name, justify="right" if number else "left")
    return table
