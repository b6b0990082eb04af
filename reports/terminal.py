"""A result as text for a terminal: a step, a product on a fabric, or a step on one."""

import math
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reports.energy import energy_by, energy_card, energy_total, has_energy
from reports.fabric import fabric_product, fabric_step, product_title
from reports.hil import hil_sentences, hil_table
from reports.losses import loss_table
from reports.output import text_table, wide_console
from simulator.card import Card
from simulator.frames import arithmetic_ceiling, phase_table
from simulator.result import Result

LARGEST_PARTS = 4  # components of the energy that are worth naming in a line


def show(result: Result, folder: Path) -> str:
    """What the command prints of a result that lies in `folder`: headline, tables, and the assumptions in force."""
    console, card = wide_console(), result.card
    assumed = ", ".join(f"{path}={card.numbers[path].value}" for path in card.assumed)
    with console.capture() as text:
        console.print(f"[bold]{escape(headline(card))}[/]")
        if "fabric" in card.more:
            fabric_product(console, result)
        elif "kernel" in card.more:
            fabric_step(console, result)
        else:
            _step(console, result)
        console.print(f"[dim]Assumed ({len(card.assumed)}, reasons in the result): {escape(assumed)}[/]")
        console.print(f"[dim]Simulated in {card.cost.simulation_seconds:.2f} s. Result: {escape(str(folder))}[/]")
    return text.get()


def headline(card: Card) -> str:
    """What ran, where, and with which parts of other distributions, in a line."""
    outside = ", ".join(f"{part} ({owner})" for part, owner in card.outside.items())
    return (product_title(card) if "fabric" in card.more else _step_title(card)) + (
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
            f"Speed-up {result.baseline.cycles / result.cycles:.2f}x; counting multiply-accumulates alone, the ceiling "
            f"of this step is {arithmetic_ceiling(result):.2f}x (derived)."
        )
    if has_energy(result):
        console.print(_energy(result))
    if result.card.hil is not None:
        console.print(_tiles(result))
        console.print(" ".join(hil_sentences(result.card.hil)))


def phase_cells(result: Result) -> list[list[str]]:
    """The heading and the rows of the table per phase, as they are shown."""
    rows = [["phase", "cycles", "ms", "utilisation", "best dense cycles", "speed-up"]]
    for phase, row in phase_table(result).iterrows():
        rows.append(
            [
                str(phase),
                f"{int(row['cycles']):,}",
                f"{row['seconds'] * 1e3:,.3f}",
                "" if math.isnan(row["utilisation"]) else f"{row['utilisation']:.1%}",
                f"{int(row['dense_cycles']):,}",
                "" if math.isnan(row["speedup"]) else f"{row['speedup']:.2f}x",
            ]
        )
    return rows


def _phases(result: Result) -> Table:
    heading, *rows = phase_cells(result)
    table = text_table(heading, heading[:1])
    for row in rows:
        table.add_row(*row, style="bold" if row[0] == "step" else None)
    return table


def _energy(result: Result) -> str:
    mine, other = energy_total(result), energy_total(result.baseline)
    parts = energy_by(result, ["component"])["share"]
    largest = ", ".join(f"{name} {share:.0%}" for name, share in parts.head(LARGEST_PARTS).items())
    return (
        f"Energy {mine.joules:.3g} J ({mine.low:.3g} to {mine.high:.3g} through the ranges of the energy table "
        f"'{energy_card(result).table}'), {mine.watts:.3g} W, energy-delay product {mine.energy_delay:.3g} J s; "
        f"best dense {other.joules:.3g} J. {largest}; {mine.assumed_share:.0%} rests on assumed entries."
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
        for row in hil_table(result).reset_index().to_dict("records")
    ]
    return text_table([what, *(name.replace("_", " ") for name in names), "not zero"], [what], rows)


def _losses(result: Result) -> Table:
    names = ["cycles spent on", "best dense", "sparse", "share", "speed-up so far"]
    rows = [
        [
            str(term),
            f"{int(row['dense_cycles']):,}",
            f"{int(row['cycles']):,}",
            f"{row['share']:.1%}",
            f"{row['speedup']:.2f}x",
        ]
        for term, row in loss_table(result).iterrows()
    ]
    return text_table(names, names[:1], rows)
