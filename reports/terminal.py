"""A result as text for a terminal: a step, a product on a fabric, or a step on one."""

import math
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import reports
from reports.bands import band_words, energy_words
from reports.bounds import bound_text, chips_text
from reports.energy import energy_card, energy_ratio, energy_sums, energy_total, has_energy
from reports.equal_area import equal_area_words
from reports.hil import hil_sentences
from reports.losses import losses, overlap_text, ratio, stall_words
from reports.output import text_table, wide_console
from simulator.card import Card
from simulator.card_parts import Json
from simulator.phases import STEP, arithmetic_ceiling, phase_rows
from simulator.result import Result

LARGEST_PARTS = 4  # components of the energy that are worth naming in a line
BARS = " ▁▂▃▄▅▆▇█"


def show(result: Result, folder: Path) -> str:
    """What the command prints of a result that lies in `folder`: headline, tables, and the assumptions in force."""
    console, card = wide_console(), result.card
    assumed = ", ".join(f"{path}={card.numbers[path].value}" for path in card.assumed)
    with console.capture() as text:
        console.print(f"[bold]{escape(headline(card))}[/]")
        if "kernel" in card.more:
            console.print(escape(f"{card.more['kernel']} {card.more['kernel_does']}."))
        if "fabric" in card.more:
            _product(console, result)
        elif "kernel" in card.more:
            _fabric_step(console, result)
        else:
            _step(console, result)
        if card.job.work.onnx:
            console.print(escape(f"{card.capture.source}: {card.capture.shapes}."))
        for assumption in card.capture.assumed:
            console.print(escape(f"Assumed: {assumption}."))
        for note in card.capture.notes:
            console.print(escape(f"Note: {note}."))
        console.print(f"[dim]Assumed ({len(card.assumed)}, reasons in the result): {escape(assumed)}[/]")
        console.print(f"[dim]Simulated in {card.cost.simulation_seconds:.2f} s. Result: {escape(str(folder))}[/]")
    return text.get()


def headline(card: Card) -> str:
    """What ran, where, and with which parts of other distributions, in a line."""
    outside = ", ".join(f"{part} ({owner})" for part, owner in card.outside.items())
    return (_product_title(card) if "fabric" in card.more else _step_title(card)) + (
        f" with {outside}" if outside else ""
    )


def _step_title(card: Card) -> str:
    said = f"{card.model} {card.mode} step, batch {card.batch}"
    if card.sequence > 1 and "kernel" not in card.more:
        said += f", sequence {card.sequence}"
    plain = card.is_dense and card.job.patterns is None
    said += ", dense (no --pattern given)" if plain else f", {card.method} {card.pattern}"
    said += f", on {card.arch} ({card.arch_title})"
    return said + (f", kernel {card.more['kernel']}" if "kernel" in card.more else f" at {card.clock_mhz:g} MHz")


def _step(console: Console, result: Result) -> None:
    """The table per phase, where the rest of the ideal went, energy, and what hardware said."""
    console.print(_phases(result))
    if not result.card.is_dense:
        console.print(_losses(result))
        console.print(
            f"Speed-up {result.over_baseline:.2f}x{band_words(result)}{equal_area_words(result)}; counting "
            f"multiply-accumulates alone, the ceiling of this step is {arithmetic_ceiling(result):.2f}x (derived)."
        )
    if said := overlap_text(result):
        console.print(said)
    if has_energy(result):
        console.print(_energy(result))
        if note := energy_card(result).note:
            console.print(escape(f"Note: {note}."))
    if result.card.hil is not None:
        console.print(_tiles(result))
        console.print(" ".join(hil_sentences(result.card.hil)))


def phase_cells(result: Result) -> list[list[str]]:
    """The heading and the rows of the table per phase, as they are shown."""
    rows = [["phase", "cycles", "ms", "utilisation", "best dense cycles", "speed-up"]]
    for row in phase_rows(result):
        rows.append(
            [
                row.phase,
                f"{row.cycles:,}",
                f"{row.seconds * 1e3:,.3f}",
                "" if math.isnan(row.utilisation) else f"{row.utilisation:.1%}",
                f"{row.dense_cycles:,}",
                "" if math.isnan(row.speedup) else f"{row.speedup:.2f}x",
            ]
        )
    return rows


def _phases(result: Result) -> Table:
    heading, *rows = phase_cells(result)
    table = text_table(heading, heading[:1])
    for row in rows:
        table.add_row(*row, style="bold" if row[0] == STEP else None)
    return table


def _energy(result: Result) -> str:
    mine, other = energy_total(result), energy_total(result.baseline)
    parts = energy_sums(result, ["component"])
    total = sum(sums[0] for sums in parts.values())
    largest = ", ".join(f"{name} {ratio(sums[0], total):.0%}" for (name,), sums in [*parts.items()][:LARGEST_PARTS])
    less = f"{said}{energy_words(result)}. " if (said := energy_ratio(result)) else ""
    return (
        f"Energy {mine.joules:.3g} J ({mine.low:.3g} to {mine.high:.3g} through the ranges of the energy table "
        f"'{energy_card(result).table}'), {mine.watts:.3g} W, energy-delay product {mine.energy_delay:.3g} J s; "
        f"best dense {other.joules:.3g} J. {less}{largest}; {mine.assumed_share:.0%} rests on "
        f"assumed entries."
    )


def _tiles(result: Result) -> Table:
    names = ("tiles", "confirmed", "bits", "wrong_bits", "model_cycles", "cycle_difference", "waiting_cycles")
    what = "hardware in the loop"
    rows = [
        [
            f"{row['phase']} {row['dataflow']} {row['pattern']}",
            *(f"{row[name]:,}" for name in names),
            f"{row['nonzero']:.0%}",
        ]
        for row in reports.hil_table(result).reset_index().to_dict("records")
    ]
    return text_table([what, *(name.replace("_", " ") for name in names), "not zero"], [what], rows)


def _losses(result: Result) -> Table:
    names = ["cycles spent on", "best dense", "sparse", "share", "speed-up so far"]
    rows = [
        [
            loss.term,
            f"{loss.dense_cycles:,}",
            f"{loss.cycles:,}",
            f"{loss.share:.1%}",
            f"{loss.speedup:.2f}x",
        ]
        for loss in losses(result)
    ]
    return text_table(names, names[:1], rows)


def _product_title(card: Card) -> str:
    """The matrices, the kernel and the machine in a line."""
    sizes = "; ".join(
        f"{each['name']} {each['rows']:,} x {each['cols']:,}, {each['nonzeros']:,} stored"
        for each in {each["name"]: each for each in card.more["matrices"].values()}.values()
    )
    return f"{card.model} ({sizes}) by {card.more['kernel']} on {card.arch} at {card.clock_mhz:g} MHz (assumed)"


def _product(console: Console, result: Result) -> None:
    """One product of matrices."""
    fabric, seconds = result.card.more["fabric"], result.seconds
    moved, pipelines = _bytes_moved(result), max(result.op_columns["pes"], default=0)
    console.print(
        f"{result.cycles:,} cycles, {seconds * 1e3:,.3f} ms; {fabric['multiplies']:,} products into "
        f"{fabric['stored']:,} elements, {ratio(2 * fabric['multiplies'], seconds) / 1e9:.2f} GFLOP/s"
    )
    console.print(
        f"memory {moved['dram.read'] / 1e6:,.1f} MB read, {moved['dram.write'] / 1e6:,.1f} MB written, "
        f"{ratio(sum(moved.values()), seconds) / 1e9:.1f} GB/s; {fabric['instructions_per_cycle']:.2f} instructions a "
        f"cycle, {ratio(fabric['instructions_per_cycle'], pipelines):.3f} a pipeline"
    )
    console.print(bound_text(fabric))
    if fabric["chips"][0]["chips"] > 1:
        console.print(chips_text(fabric))
    console.print(_shares("of the threads' time", fabric["thread_time"]))
    console.print(_shares("in use", fabric["used"]))
    if fabric["probe_lengths"]:
        console.print(_probes(fabric))
    _timeline(console, fabric["timeline"])


def _fabric_step(console: Console, result: Result) -> None:
    """A training step in blocks: the table per phase, and what pipelines waited for."""
    names = ("phase", "cycles", "ms", "multiplies a pipeline cycle", "dense weights", "speed-up")
    rows = [
        [
            row.phase,
            f"{row.cycles:,}",
            f"{row.seconds * 1e3:,.2f}",
            f"{row.utilisation:.3f}",
            f"{row.dense_cycles:,}",
            f"{row.speedup:.2f}x",
        ]
        for row in phase_rows(result)
    ]
    console.print(text_table(names, names[:1], rows))
    total = max(1, result.cycles)
    waits = {words: sum(result.op_columns[column]) / total for column, words in stall_words(result).items()}
    issuing = sum(result.op_columns["busy_cycles"]) / total
    console.print(_shares("of the pipelines' time", {"issuing": issuing, **waits}))
    console.print("[dim]Every op is a block of its product that stands for the whole (column `detail`).[/]")


def _bytes_moved(result: Result) -> dict[str, int]:
    """Bytes of memory read and written."""
    moved = dict.fromkeys(("dram.read", "dram.write"), 0)
    for kind, amount in zip(*(result.action_columns[name] for name in ("kind", "amount")), strict=True):
        if kind in moved:
            moved[kind] += amount
    return moved


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
