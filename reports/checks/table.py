"""`simulate validate`: every suite's rows in one table, on a terminal and as CSV."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict

import pandas as pd
from rich.markup import escape

from reports.checks.base import Check, CheckSuite, Status
from reports.output import text_table, tracked, wide_console
from workloads.registry import CHECKS, load_parts

COLOURS = {
    Status.PASS: "green",
    Status.INSIDE: "green",
    Status.WHOLE: "yellow",
    Status.OUTSIDE: "red",
    Status.UNKNOWN: "yellow",
}
HEADS = ("machine", "what", "theirs", "ours", "unit", "gap", "status", "could fail", "hangs on", "source")
WHOLE = "ours may be whatever the assumptions allow, and theirs is among that"


def every_check() -> list[Check]:
    """The rows of all suites. A suite that cannot be loaded is named in a warning and left out."""
    suites = load_parts(CHECKS, "check", CheckSuite)
    ordered = sorted(suites, key=lambda name: (suites[name].order, name))
    return [row for name in tracked(ordered, "models") for row in suites[name].checks()]


def check_table(checks: Sequence[Check]) -> pd.DataFrame:
    """The rows with status and gap, in the order given."""
    rows = [
        {
            **asdict(each),
            "gap": each.gap,
            "status": each.status.value,
            "could_fail": each.could_fail,
            "provenance": each.provenance.value,
        }
        for each in checks
    ]
    first = ["machine", "what", "unit", "theirs", "theirs_low", "theirs_high", "ours", "ours_low", "ours_high"]
    last = ["provenance", "source", "hangs_on", "allowed_low", "allowed_high"]
    return pd.DataFrame(rows, columns=[*first, "gap", "status", "could_fail", *last])


def print_checks(table: pd.DataFrame) -> None:
    """Every row with its gap, status and what it hangs on, how many there are of each, and which could have failed."""
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
            "yes" if row["could_fail"] else "no",
            escape(str(row["hangs_on"])),
            escape(f"{row['provenance']}: {row['source']}"),
        ]
        for row in table.to_dict("records")
    ]
    console.print("[bold]Published or measured elsewhere, beside what the models here say[/]")
    console.print(text_table(HEADS, [head for head in HEADS if head not in ("theirs", "ours", "gap")], rows))
    counts = table["status"].value_counts()
    console.print(", ".join(f"{counts[status]} {status}" for status in COLOURS if status in counts))
    console.print(could_fail_sentence(table))
    for row in table[table["status"] == Status.WHOLE].to_dict("records"):
        console.print(f"  could not: {row['machine']}, {row['what']}: {WHOLE}", markup=False)


def could_fail_sentence(table: pd.DataFrame) -> str:
    """How many rows could have failed, of each machine and in all; those without a number on both sides could not."""
    could = table[table["could_fail"]].groupby("machine", sort=False).size()
    each = ", ".join(f"{count} of {machine}" for machine, count in could.items())
    unknown = int((table["status"] == Status.UNKNOWN).sum())
    return (
        f"{int(could.sum())} of {len(table)} rows could have failed ({each}); {unknown} compare nothing, and in "
        f"{int((table['status'] == Status.WHOLE).sum())} the band is as wide as all that is assumed."
    )


def _range(row: Mapping[Hashable, float | None], name: str) -> str:
    value, low, high = (_number(row[key]) for key in (name, f"{name}_low", f"{name}_high"))
    return f"{value} ({low} to {high})" if low and high else value


def _number(value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2f}"
