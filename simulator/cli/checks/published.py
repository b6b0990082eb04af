"""Rows for which no model here says anything yet: the published figure stands, ours is unknown."""

import csv
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.checks import Check


def figures(name: str) -> dict[str, dict[str, str]]:
    """The rows of a file of published figures, by item."""
    from reports.published import PUBLISHED

    with (PUBLISHED / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
        return {row["item"]: row for row in csv.DictReader(lines)}


def unknown(machine: str, row: dict[str, str], why: str) -> "Check":
    """A published figure that nothing of ours can be set beside, and why."""
    from reports.checks import Check
    from workloads.provenance import Provenance

    theirs = float(row["value"])
    return Check(
        machine, row["item"], row["unit"], theirs, None, Provenance(row["provenance"]), row["source"], hangs_on=why
    )
