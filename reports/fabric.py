"""A fabric's product as tables (its threads' time, resources, hash tables, load over time), and a step on a fabric."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from reports.losses import stall_words
from reports.output import text_table
from simulator.card import Card, Json
from simulator.frames import phase_table
from simulator.result import Result

BARS = " ▁▂▃▄▅▆▇█"


def product_title(card: Card) -> str:
    """The matrices, the kernel and the machine in a line."""
    sizes = "; ".join(
        f"{each['name']} {each['rows']:,} x {each['cols']:,}, {each['nonzeros']:,} stored"
        for each in {each["name"]: each for each in card.more["matrices"].values()}.values()
    )
    return f"{card.model} ({sizes}) by {card.more['kernel']} on {card.arch} at {card.clock_mhz:g} MHz (assumed)"


def fabric_product(console: Console, result: Result) -> None:
    """One product of matrices."""
    fabric, seconds = result.card.more["fabric"], result.seconds
    moved, pipelines = bytes_moved(result), int(result.op_columns["pes"][0])
    console.print(
        f"{result.cycles:,} cycles, {seconds * 1e3:,.3f} ms; {fabric['multiplies']:,} products into "
        f"{fabric['stored']:,} elements, {2 * fabric['multiplies'] / seconds / 1e9:.2f} GFLOP/s"
    )
    console.print(
        f"memory {moved['dram.read'] / 1e6:,.1f} MB read, {moved['dram.write'] / 1e6:,.1f} MB written, "
        f"{sum(moved.values()) / seconds / 1e9:.1f} GB/s; {fabric['instructions_per_cycle']:.2f} instructions a cycle, "
        f"{fabric['instructions_per_cycle'] / pipelines:.3f} a pipeline"
    )
    console.print(_shares("of the threads' time", fabric["thread_time"]))
    console.print(_shares("in use", fabric["used"]))
    if fabric["probe_lengths"]:
        console.print(_probes(fabric))
    _timeline(console, fabric["timeline"])


def fabric_step(console: Console, result: Result) -> None:
    """A training step in blocks: the table per phase, and what pipelines waited for."""
    names = ("phase", "cycles", "ms", "multiplies a pipeline cycle", "dense weights", "speed-up")
    rows = [
        [
            str(phase),
            f"{row['cycles']:,.0f}",
            f"{row['seconds'] * 1e3:,.2f}",
            f"{row['utilisation']:.3f}",
            f"{row['dense_cycles']:,.0f}",
            f"{row['speedup']:.2f}x",
        ]
        for phase, row in phase_table(result).iterrows()
    ]
    console.print(text_table(names, names[:1], rows))
    total = max(1, result.cycles)
    waits = {words: sum(result.op_columns[column]) / total for column, words in stall_words(result).items()}
    issuing = sum(result.op_columns["busy_cycles"]) / total
    console.print(_shares("of the pipelines' time", {"issuing": issuing, **waits}))
    console.print("[dim]Every op is a block of its product that stands for the whole (column `detail`).[/]")


def bytes_moved(result: Result) -> dict[str, int]:
    """Bytes of memory read and written."""
    kinds = result.actions.groupby("kind")["amount"].sum()
    return {kind: int(kinds.get(kind, 0)) for kind in ("dram.read", "dram.write")}


def _shares(title: str, shares: Mapping[str, float]) -> Table:
    ordered = sorted(shares.items(), key=lambda each: -each[1])
    return text_table([title, "share"], [title], ([name, f"{share:.1%}"] for name, share in ordered if share >= 0.0005))


def _probes(fabric: Json) -> str:
    lengths, occupancy = fabric["probe_lengths"], fabric["occupancy"]
    products = max(1, sum(lengths))
    return (
        f"{fabric['windows']:,} windows, {fabric['split_rows']:,} rows split; tables {occupancy['least']:.1%} to "
        f"{occupancy['most']:.1%} full, {occupancy['mean']:.1%} on average; {fabric['steps'] / products:.2f} probes a "
        f"product, {lengths[0] / products:.1%} need one, the longest {len(lengths)}{'+' if len(lengths) == 64 else ''}"
    )


def _timeline(console: Console, timeline: Json) -> None:
    console.print(f"threads at work, core by core, a column {timeline['bin_cycles']:,.0f} cycles:")
    for core, shares in enumerate(timeline["working"]):
        console.print(f"  {core:3d} |{''.join(BARS[min(8, round(share * 8))] for share in shares)}|")
