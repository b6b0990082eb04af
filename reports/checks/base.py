"""What somebody else published or measured beside what our models say: one claim, a suite of them, and the files."""

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from io import StringIO
from pathlib import Path

from reports.published import PUBLISHED
from workloads.errors import UserError
from workloads.files.reading import read_text
from workloads.provenance import Provenance
from workloads.registry import CHECKS, load_part, load_parts

LAST = 1000  # the place of a suite that says none: behind ours, by name


class Status(StrEnum):
    PASS = "pass"  # the same to the last digit
    INSIDE = "inside band"  # their range and ours have values in common
    WHOLE = "whole range"  # the same, but ours is as wide as all that is assumed allows: it could not have failed
    OUTSIDE = "outside band"
    UNKNOWN = "unknown"  # theirs or ours is not known


@dataclass(frozen=True)
class Check:
    """One claim, in one unit.

    `theirs` and `ours` are None where unknown. `theirs_low` and `theirs_high` say how far theirs reaches (its stated
    tolerance, or "at most"), `ours_low` and `ours_high` how far ours moves through the ranges of what is assumed.
    `allowed_low` and `allowed_high` say how far everything assumed together moves ours, at least; None where nothing
    assumed moves it. `hangs_on` names the assumption behind the row, or why it is unknown.
    """

    machine: str
    what: str
    unit: str
    theirs: float | None
    ours: float | None
    provenance: Provenance
    source: str
    hangs_on: str
    theirs_low: float | None = None
    theirs_high: float | None = None
    ours_low: float | None = None
    ours_high: float | None = None
    allowed_low: float | None = None
    allowed_high: float | None = None

    @property
    def gap(self) -> float:
        """Ours over theirs, minus one; NaN where either is unknown."""
        return math.nan if not self.theirs or self.ours is None else self.ours / self.theirs - 1

    @property
    def status(self) -> Status:
        if self.theirs is None or self.ours is None:
            return Status.UNKNOWN
        if self.theirs == self.ours and self.theirs_low is None and self.ours_low is None:
            return Status.PASS
        low, high = _span(self.theirs, self.theirs_low, self.theirs_high)
        our_low, our_high = _span(self.ours, self.ours_low, self.ours_high)
        if low > our_high or our_low > high:
            return Status.OUTSIDE
        return Status.WHOLE if self._as_wide(our_low, our_high) else Status.INSIDE

    @property
    def could_fail(self) -> bool:
        """Whether an outcome was possible that would have made the row fail.

        Not where nothing is compared, nor where ours may be whatever the assumptions allow: then the row says no more
        than that theirs is among that.
        """
        return self.status not in (Status.UNKNOWN, Status.WHOLE)

    def _as_wide(self, low: float, high: float) -> bool:
        """Whether a band has all that is assumed in it."""
        if self.allowed_low is None or self.allowed_high is None:
            return False
        return low <= self.allowed_low and self.allowed_high <= high


def _span(value: float, low: float | None, high: float | None) -> tuple[float, float]:
    return value if low is None else low, value if high is None else high


@dataclass(frozen=True)
class Request:
    """What `simulate validate NAME` was asked for."""

    pattern: str
    model: str
    settings: tuple[str, ...]
    out: Path | None


@dataclass(frozen=True)
class CheckSuite:
    """Rows of the table of `simulate validate`, registered under `sparsehil.checks` by the name of a machine, say.

    `detail` prints the report of `simulate validate NAME` and writes it where the request says; None where there is
    none. Suites stand in the table in their `order`, those of one order by name.
    """

    checks: Callable[[], Sequence[Check]]
    detail: Callable[[Request], None] | None = None
    order: int = LAST


def check_report(name: str, request: Request) -> None:
    """Print the report of one suite alone. Raises UserError for an unknown name, and for a suite that has none."""
    suite = load_part(CHECKS, "check", name, CheckSuite)
    if suite.detail is None:
        known = [each for each, suite in load_parts(CHECKS, "check", CheckSuite).items() if suite.detail]
        raise UserError(f"{name}: its rows stand in `simulate validate`; a report alone has {', '.join(known)}")
    suite.detail(request)


def published_rows(name: str) -> list[dict[str, str]]:
    """The rows of a file of published figures."""
    return list(csv.DictReader(StringIO(read_text(PUBLISHED / f"{name}.csv", "published figures are CSV"))))


def by_item(name: str) -> dict[str, dict[str, str]]:
    """The rows of a file of published figures, by item."""
    return {row["item"]: row for row in published_rows(name)}
