"""Accuracies of a study: means, confidence intervals and gaps to dense training, beside published gaps.

Runs with one seed start from the same weights and see the data in the same order, so methods are compared by the
differences of their runs, seed by seed. Intervals are Student's t at 95 %.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations
from math import nan, sqrt
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from scipy.special import stdtrit

from reports.output import text_table, wide_console
from reports.published import PUBLISHED
from workloads.files.writing import write_text

CONFIDENCE = 0.95
DENSE = "dense"
HEADS = ("method", "pattern", "runs", "test accuracy (%)", "gap to dense (points)", "published gap", "published on")
SOURCES = "other networks and data, so their sign and size are context, not a target (reports/published/accuracy.csv)"


class Run(NamedTuple):
    """One finished run. `pattern` is "dense" where nothing is pruned; `right` of `tested` test examples."""

    method: str
    pattern: str
    seed: int
    right: int
    tested: int
    steps: int
    seconds: float


class Spread(NamedTuple):
    """A mean and the half width of its confidence interval; a single value has none."""

    mean: float
    half: float

    @property
    def excludes_zero(self) -> bool:
        return abs(self.mean) > self.half


def spread(values: Sequence[float], confidence: float = CONFIDENCE) -> Spread:
    """Mean and interval by Student's t with len - 1 degrees of freedom."""
    count = len(values)
    mean = sum(values) / count
    if count < 2:
        return Spread(mean, nan)
    quantile = float(stdtrit(count - 1, (1 + confidence) / 2))
    deviation = sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
    return Spread(mean, quantile * deviation / sqrt(count))


def runs_frame(runs: Iterable[Run]) -> pd.DataFrame:
    """One row a run; `accuracy` in percent."""
    frame = pd.DataFrame(runs, columns=list(Run._fields))
    frame["accuracy"] = 100 * frame["right"] / frame["tested"]
    return frame


def accuracy_table(runs: pd.DataFrame) -> pd.DataFrame:
    """A row a (method, pattern): runs, accuracy and gap to dense with 95 % half widths, in percent and points.

    `published_gap` and `published_on` come from other networks and data.
    """
    rows = []
    for method, pattern in runs[["method", "pattern"]].drop_duplicates().itertuples(index=False, name=None):
        group = runs[(runs["method"] == method) & (runs["pattern"] == pattern)]
        accuracy, gap = spread(list(group["accuracy"])), _difference(runs, (method, pattern), (DENSE, DENSE))
        published = _published(method, pattern)
        rows.append(
            {
                "method": method,
                "pattern": pattern,
                "runs": len(group),
                "accuracy": accuracy.mean,
                "accuracy_ci95": accuracy.half,
                "gap": gap.mean,
                "gap_ci95": gap.half,
                "published_gap": published[0],
                "published_on": published[1],
            }
        )
    return pd.DataFrame(rows)


def beyond_noise(runs: pd.DataFrame) -> list[str]:
    """Sentences on the pairs of methods, at one pattern, whose difference is more than noise.

    All pairs are looked at together, so each interval is widened for their number (Bonferroni).
    """
    patterns = [pattern for pattern in runs["pattern"].unique() if pattern != DENSE]
    methods = [method for method in runs["method"].unique() if method != DENSE]
    pairs = [(pattern, one, other) for pattern in patterns for one, other in combinations(methods, 2)]
    found = []
    for pattern, one, other in pairs:
        gap = _difference(runs, (one, pattern), (other, pattern), 1 - (1 - CONFIDENCE) / len(pairs))
        if gap.excludes_zero:
            better, worse = (one, other) if gap.mean > 0 else (other, one)
            found.append(f"{pattern}: {better} above {worse} by {abs(gap.mean):.2f} +- {gap.half:.2f} points")
    return found


def _difference(
    runs: pd.DataFrame, one: tuple[str, str], other: tuple[str, str], confidence: float = CONFIDENCE
) -> Spread:
    """Of the runs with seeds that both have; nan where there are none, and for a thing and itself."""
    if one == other:
        return Spread(nan, nan)
    by_seed = runs.set_index("seed")
    first, second = (
        by_seed[(by_seed["method"] == method) & (by_seed["pattern"] == pattern)]["accuracy"]
        for method, pattern in (one, other)
    )
    values = (first - second).dropna()
    return spread(list(values), confidence) if len(values) else Spread(nan, nan)


def _published(method: str, pattern: str) -> tuple[str, str]:
    """(gaps, what on), several joined by semicolons; empty where nothing is published."""
    table = pd.read_csv(PUBLISHED / "accuracy.csv")
    found = table[(table["method"] == method) & (table["pattern"] == pattern) & table["gap"].notna()]
    return (
        "; ".join(f"{gap:+.2f}" for gap in found["gap"]),
        "; ".join(found["model"] + ", " + found["data"]),
    )


def print_accuracy(table: pd.DataFrame, noise: Sequence[str], title: str) -> None:
    """The table, and what can be said between methods."""
    console = wide_console()
    console.print(f"[bold]{title}[/]; intervals: 95 %, Student's t over seeds")
    rows = [
        [
            row["method"],
            row["pattern"],
            str(row["runs"]),
            _text(row["accuracy"], row["accuracy_ci95"]),
            _text(row["gap"], row["gap_ci95"], "+"),
            str(row["published_gap"]),
            str(row["published_on"]),
        ]
        for row in table.to_dict("records")
    ]
    console.print(text_table(HEADS, ("method", "pattern", "published on"), rows))
    console.print("published gaps: " + SOURCES)
    console.print(verdict(noise))


def verdict(noise: Sequence[str]) -> str:
    """What may be said on methods against each other."""
    if not noise:
        return "between methods: no difference at any pattern is beyond the noise, so they are not ranked"
    return "between methods, beyond the noise (all pairs looked at together): " + "; ".join(noise)


def write_accuracy(folder: Path, runs: pd.DataFrame, table: pd.DataFrame, noise: Sequence[str], note: str) -> None:
    """Write runs.csv, accuracy.csv and README.md. Raises UserError where that cannot be."""
    hours = runs["seconds"].sum() / 3600
    text = f"{note}\n\n{len(runs)} runs, {hours:.2f} hours of training in all (measured, wall time).\n"
    write_text(folder / "runs.csv", runs.round(4).to_csv(index=False))
    write_text(folder / "accuracy.csv", table.round(4).to_csv(index=False))
    write_text(folder / "README.md", f"{text}\n{verdict(noise).capitalize()}.\n")


def _text(mean: float, half: float, sign: str = "") -> str:
    return "" if pd.isna(mean) else f"{mean:{sign}.2f}" + ("" if pd.isna(half) else f" +- {half:.2f}")
