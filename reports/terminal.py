"""A step as tables on a terminal."""

import math
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reports.energy import energy_by, energy_total, has_energy
from reports.hil import hil_sentences, hil_table
from reports.losses import loss_table
from reports.phases import arithmetic_ceiling, phase_table
from simulator.result import Result

LARGEST_PARTS = 4  # components of the energy that are worth naming in a line


def wide_console() -> Console:
    """A console that never cuts a table short where nobody looks at a terminal."""
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(highlight=False, soft_wrap=True, width=200)


def print_step(sparse: Result, dense: Result, folder: Path) -> None:
    """The table per phase, where the rest of the ideal went, and the assumptions in force."""
    console = wide_console()
    card = sparse.card
    sequence = f", sequence {card['sequence']}" if card["sequence"] > 1 else ""
    title = (
        f"{card['model']} {card['mode']} step, batch {card['batch']}{sequence}, {card['method']} "
        f"{card['pattern']}, on {card['arch']} ({card['arch_title']}) at {card['clock_mhz']:g} MHz"
    )
    console.print(f"[bold]{escape(title)}[/]")
    console.print(_phases(sparse, dense))
    if card["pattern"] != "dense":
        console.print(_losses(sparse, dense))
        console.print(
            f"Speed-up {dense.cycles / sparse.cycles:.2f}x; counting multiply-accumulates alone, the ceiling of this "
            f"step is {arithmetic_ceiling(sparse):.2f}x (derived)."
        )
    if has_energy(sparse):
        console.print(_energy(sparse, dense))
    if sparse.hil is not None:
        console.print(_tiles(sparse))
        console.print(" ".join(hil_sentences(card["hil"])))
    numbers = card["numbers"]
    assumed = ", ".join(f"{path}={numbers[path]['value']}" for path in card["assumed"])
    console.print(f"[dim]Assumed ({len(card['assumed'])}, reasons in the result): {escape(assumed)}[/]")
    console.print(f"[dim]Simulated in {card['cost']['simulation_seconds']:.2f} s. Result: {escape(str(folder))}[/]")


def _phases(sparse: Result, dense: Result) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("phase", "cycles", "ms", "utilisation", "best dense cycles", "speed-up"):
        table.add_column(name, justify="left" if name == "phase" else "right")
    for phase, row in phase_table(sparse, dense).iterrows():
        utilisation = "" if math.isnan(row["utilisation"]) else f"{row['utilisation']:.1%}"
        table.add_row(
            str(phase),
            f"{int(row['cycles']):,}",
            f"{row['seconds'] * 1e3:,.3f}",
            utilisation,
            f"{int(row['dense_cycles']):,}",
            "" if math.isnan(row["speedup"]) else f"{row['speedup']:.2f}x",
            style="bold" if phase == "step" else None,
        )
    return table


def _energy(sparse: Result, dense: Result) -> str:
    mine, other = energy_total(sparse), energy_total(dense)
    parts = energy_by(sparse, ["component"])["share"]
    largest = ", ".join(f"{name} {share:.0%}" for name, share in parts.head(LARGEST_PARTS).items())
    return (
        f"Energy {mine.joules:.3g} J ({mine.low:.3g} to {mine.high:.3g} through the ranges of the energy table "
        f"'{sparse.card['energy']['table']}'), {mine.watts:.3g} W, energy-delay product {mine.energy_delay:.3g} J s; "
        f"best dense {other.joules:.3g} J. {largest}; {mine.assumed_share:.0%} rests on assumed entries."
    )


def _tiles(sparse: Result) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    names = ("tiles", "confirmed", "bits", "wrong_bits", "model_cycles", "cycle_difference", "waiting_cycles")
    for name in ("hardware in the loop", *names, "not zero"):
        table.add_column(name.replace("_", " "), justify="left" if name.startswith("hardware") else "right")
    for row in hil_table(sparse).reset_index().to_dict("records"):
        numbers = (f"{row[name]:,}" for name in names)
        table.add_row(f"{row['phase']} {row['dataflow']} {row['pattern']}", *numbers, f"{row['nonzero']:.0%}")
    return table


def _losses(sparse: Result, dense: Result) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    for name in ("cycles spent on", "best dense", "sparse", "share", "speed-up so far"):
        table.add_column(name, justify="left" if name == "cycles spent on" else "right")
    for term, row in loss_table(sparse, dense).iterrows():
        table.add_row(
            str(term),
            f"{int(row['dense_cycles']):,}",
            f"{int(row['cycles']):,}",
            f"{row['share']:.1%}",
            f"{row['speedup']:.2f}x",
        )
    return table
