"""`simulate validate`: every suite's rows in one table, on a terminal and as CSV."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict

import pandas as pd
from rich.markup import escape

from reports.checks.base import Check, CheckSuite, Status
from reports.output import text_table, tracked, wide_console
from workloads.registry import CHECKS, load_parts

COLOURS = {Status.PASS: "green", Status.INSIDE: "green", Status.OUTSIDE: "red", Status.UNKNOWN: "yellow"}
HEADS = ("machine", "what", "theirs", "ours", "unit", "gap", "status", "hangs on", "source")


def every_check() -> list[Check]:
    """The rows of all suites. A suite that cannot be loaded is named in a warning and left out."""
    suites = load_parts(CHECKS, "check", CheckSuite)
    ordered = sorted(suites, key=lambda name: (suites[name].order, name))
    return [row for name in tracked(ordered, "models") for row in suites[name].checks()]


def check_table(checks: Sequence[Check]) -> pd.DataFrame:
    """The rows with status and gap, in the order given."""
    rows = [
        {**asdict(each), "gap": each.gap, "status": each.status.value, "provenance": each.provenance.value}
        for each in checks
    ]
    first = ["machine", "what", "unit", "theirs", "theirs_low", "theirs_high", "ours", "ours_low", "ours_high"]
    return pd.DataFrame(rows, columns=[*first, "gap", "status", "provenance", "source", "hangs_on"])


def print_checks(table: pd.DataFrame) -> None:
    """Every row with its gap, status and what it hangs on, and how many there are of each status."""
    console = wide_console()
    rows = [
        [
            str(row["machine"]),
            escape(str(row["what"])),
            _range(row, "theirs"),
            _range(row, "ours"),
            str(row["unit"]),
            "" if math.isnan(row["gap"]) else f"{row['gap']:+.1%}",
            f"[{COLOURS[Status(row['status'])]}]{row['status']}[/]",
            escape(str(row["hangs_on"])),
            escape(f"{row['provenance']}: {row['source']}"),
        ]
        for row in table.to_dict("records")
    ]
    console.print("[bold]Published or measured elsewhere, beside what the models here say[/]")
    console.print(text_table(HEADS, [head for head in HEADS if head not in ("theirs", "ours", "gap")], rows))
    counts = table["status"].value_counts()
    console.print(", ".join(f"{counts[status]} {status}" for status in COLOURS if status in counts))


def _range(row: Mapping[Hashable, float | None], name: str) -> str:
    value, low, high = (_number(row[key]) for key in (name, f"{name}_low", f"{name}_high"))
    return f"{value} ({low} to {high})" if low and high else value


def _number(value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2f}"
