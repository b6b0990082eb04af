"""GPU points: what MLPerf submissions reached and what 2:4 products and steps took, beside rooflines with overheads."""

import math
from collections.abc import Mapping

import pandas as pd
from pandas.api.types import is_numeric_dtype
from rich.markup import escape
from rich.table import Table

from reports.checks.base import Check, CheckSuite, Request, by_item
from reports.checks.gpu_measured import EARLY, error_table, measured_checks, measured_table
from reports.output import csv_texts, text_table, wide_console, write_folder
from reports.rates import inference_step, rate, rate_over_lengths, with_values
from simulator.arch.machine import load_machine
from simulator.runs import Runs
from workloads.errors import UserError
from workloads.lengths import PADDED, SQUAD_LIKE, Lengths
from workloads.pattern import PatternMap
from workloads.provenance import Provenance

RANGES = ("tensor.efficiency", "memory.efficiency")
ALL = (*RANGES, "overhead.launch_us")  # every assumed number with a range; the last is the worse the higher it is
# Submissions we have a model of: item, machine, captured model, batch, precision.
POINTS = (
    ("T4 MLPerf v0.7 closed Offline ResNet50", "t4", "resnet50", 128, "int8"),
    ("T4 MLPerf v0.7 closed Offline BERT-large 99", "t4", "bert-large", 64, "int8"),
    ("T4 MLPerf v0.7 closed Offline BERT-large 99.9 (per GPU of 20)", "t4", "bert-large", 64, "fp16"),
    ("A100 40GB PCIe MLPerf v0.7 closed Offline ResNet50", "a100", "resnet50", 128, "int8"),
    ("A100 40GB PCIe MLPerf v0.7 closed Offline BERT-large 99", "a100", "bert-large", 64, "int8"),
)


def checks() -> list[Check]:
    """A row a submission; ours moves with the efficiency's range, and for BERT with how inputs were padded. Then those
    of measured products and steps."""
    published = by_item("gpu")
    return [*(_row(published[each[0]], *each[1:]) for each in POINTS), *measured_checks()]


def detail(request: Request) -> None:
    """Every measured product and step beside the model, what was fitted to which, and how far off the rest is.

    Raises UserError for settings, and where tables cannot be written.
    """
    if request.settings:
        raise UserError("--set: validate gpu runs the cards that were measured; change them in a machine file")
    table = measured_table()
    errors = error_table(table)
    _print(table, errors)
    if request.out is not None:
        write_folder(request.out, csv_texts({"measured": table, "errors": errors}, 4), dict)


GPU = CheckSuite(checks, detail, order=5)


def _print(table: pd.DataFrame, errors: pd.DataFrame) -> None:
    console = wide_console()
    console.print("[bold]Products and steps that were measured on GPUs[/], dense and 2:4, beside the model's (derived)")
    shown = [name for name in table.columns if not name.startswith(("low", "high", "kind", "fitted"))]
    console.print(_as_text(table[shown]))
    console.print("\n[bold]Mean absolute error, relative, over rows that nothing was fitted to[/]")
    console.print(_as_text(errors))
    fitted = table.loc[table["fitted"] != "", ["fitted", "what"]].agg(" to '".join, axis=1)
    early = table["source"].str.contains(EARLY).sum()
    console.print(
        f"\nFitted: {'; '.join(fitted)}'; nothing else is. {early} rows are of {EARLY}, other software than the row "
        f"that was fitted to: they are judged like all others, and the second group of errors leaves them out. The "
        f"A100 with 80 GB is taken for the SXM card (2,039 GB/s, NVIDIA's data sheet), the others for a100.yaml's.",
        highlight=False,
    )


def _as_text(table: pd.DataFrame) -> Table:
    """A table whose gaps and errors are percentages, with a dash for what is unknown."""
    names = [str(name) for name in table.columns]
    rows = ([_cell(name, value) for name, value in zip(names, row, strict=True)] for row in table.to_numpy())
    return text_table(names, [name for name in names if not is_numeric_dtype(table[name])], rows)


def _cell(name: str, value: object) -> str:
    if not isinstance(value, float):
        return escape(str(value))
    if math.isnan(value):
        return "-"
    return f"{value:+.1%}" if name.startswith("gap") else f"{value:.1%}" if name.startswith("mean") else f"{value:.3f}"


def _row(row: dict[str, str], machine: str, model: str, batch: int, precision: str) -> Check:
    origins = load_machine(machine).origins
    low, high = ({path: getattr(origins[path], end) for path in RANGES} for end in ("low", "high"))
    worst, best = {**low, ALL[-1]: origins[ALL[-1]].high}, {**high, ALL[-1]: origins[ALL[-1]].low}
    inputs = (None,) if model == "resnet50" else (SQUAD_LIKE, PADDED)
    rates = [_rate(machine, model, batch, precision, each, value) for each in inputs for value in ({}, low, high)]
    allowed = [_rate(machine, model, batch, precision, each, value) for each in inputs for value in (worst, best)]
    said = "" if model == "resnet50" else f"; ours has {SQUAD_LIKE.name} inputs, its low end texts {PADDED.name}"
    return Check(
        machine="gpu",
        what=row["item"],
        unit=row["unit"],
        theirs=float(row["value"]),
        ours=rates[0],
        provenance=Provenance(row["provenance"]),
        source=row["source"],
        hangs_on=f"{' and '.join(RANGES)} (assumed), and maps that cross the DRAM between all layers{said}",
        ours_low=min(rates),
        ours_high=max(rates),
        allowed_low=min(allowed),
        allowed_high=max(allowed),
    )


def _rate(
    name: str, model: str, batch: int, precision: str, lengths: Lengths | None, values: Mapping[str, float | None]
) -> float:
    machine = with_values(load_machine(name), {**values, "inference": precision})
    if lengths is not None:
        return rate_over_lengths(machine, model, batch, lengths, PatternMap(), Runs())
    return rate(machine, inference_step(model, batch, None), PatternMap(), Runs()).samples_per_second
