"""The table of `simulate validate` on a terminal."""

import math
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from rich.markup import escape
from rich.table import Table

from reports.terminal import wide_console

COLOURS = {"pass": "green", "inside band": "green", "outside band": "red", "unknown": "yellow"}


def print_checks(table: pd.DataFrame) -> None:
    """Every row with its gap, status and what it hangs on, and how many there are of each status."""
    console = wide_console()
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("machine", "what", "theirs", "ours", "unit", "gap", "status", "hangs on", "source"):
        shown.add_column(name, justify="right" if name in ("theirs", "ours", "gap") else "left")
    for row in table.to_dict("records"):
        status = str(row["status"])
        shown.add_row(
            str(row["machine"]),
            escape(str(row["what"])),
            _range(row, "theirs"),
            _range(row, "ours"),
            str(row["unit"]),
            "" if math.isnan(row["gap"]) else f"{row['gap']:+.1%}",
            f"[{COLOURS[status]}]{status}[/]",
            escape(str(row["hangs_on"])),
            escape(f"{row['provenance']}: {row['source']}"),
        )
    console.print("[bold]Published or measured elsewhere, beside what the models here say[/]")
    console.print(shown)
    counts = table["status"].value_counts()
    console.print(", ".join(f"{counts[status]} {status}" for status in COLOURS if status in counts))


def _range(row: Mapping[Hashable, Any], name: str) -> str:
    value, low, high = (_number(row[key]) for key in (name, f"{name}_low", f"{name}_high"))
    return f"{value} ({low} to {high})" if low and high else value


def _number(value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2f}"
