"""Published figures, and rows for which no model here says anything yet."""

import csv

from reports.checks.base import Check
from reports.published import PUBLISHED
from workloads.provenance import Provenance


def published_rows(name: str) -> list[dict[str, str]]:
    """The rows of a file of published figures."""
    with (PUBLISHED / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def by_item(name: str) -> dict[str, dict[str, str]]:
    """The rows of a file of published figures, by item."""
    return {row["item"]: row for row in published_rows(name)}


def unknown(machine: str, row: dict[str, str], why: str) -> Check:
    """A published figure that nothing of ours can be set beside, and why."""
    theirs = float(row["value"])
    return Check(
        machine, row["item"], row["unit"], theirs, None, Provenance(row["provenance"]), row["source"], hangs_on=why
    )
