"""What methods of N:M training are reported to cost in accuracy, beside what they cost in our own runs."""

from io import StringIO

import pandas as pd

from reports.checks.base import Check, CheckSuite, published_rows
from reports.published import PUBLISHED
from workloads.files.reading import read_text
from workloads.provenance import Provenance

ELSEWHERE = "another network and other data than the published ones; the line is the 95 % interval over seeds"
NOT_TRAINED = "not trained here"


def checks() -> list[Check]:
    """A row for every reported change of accuracy against dense training."""
    ours = _ours()
    return [_check(row, ours.get((row["method"], row["pattern"]))) for row in published_rows("accuracy") if row["gap"]]


TRAINING = CheckSuite(checks, order=7)


def _check(row: dict[str, str], ours: tuple[float, float] | None) -> Check:
    gap, half = ours or (None, 0.0)
    return Check(
        machine="training",
        what=f"{row['method']} {row['pattern']}, {row['model']} on {row['data']}: change of top-1 against dense",
        unit="points",
        theirs=float(row["gap"]),
        ours=gap,
        provenance=Provenance(row["provenance"]),
        source=row["source"],
        hangs_on=ELSEWHERE if ours else NOT_TRAINED,
        ours_low=None if gap is None else gap - half,
        ours_high=None if gap is None else gap + half,
    )


def _ours() -> dict[tuple[str, str], tuple[float, float]]:
    """Gap to dense training and half its interval, in points, by method and pattern; empty without a study."""
    path = PUBLISHED.parent / "results" / "study-accuracy" / "accuracy.csv"
    if not path.exists():
        return {}
    table = pd.read_csv(StringIO(read_text(path, "accuracies are CSV"))).dropna(subset=["gap", "gap_ci95"])
    keys = zip(table["method"], table["pattern"], strict=True)
    values = zip(table["gap"].astype(float), table["gap_ci95"].astype(float), strict=True)
    return dict(zip(keys, values, strict=True))
