"""Accuracy against speed-up against energy, and which points no other beats in all three."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from workloads.errors import UserError

NEEDED = {"method", "pattern", "accuracy", "accuracy_ci95"}
DENSE = "dense"


@dataclass(frozen=True)
class Cost:
    """What a step costs on the machine. Energies are NaN without an energy table."""

    speedup: float
    joules: float
    low_joules: float
    high_joules: float


def read_accuracies(path: Path) -> pd.DataFrame:
    """The table of `simulate study accuracy`. Raises UserError for anything else."""
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: is not a table of accuracies: {error}") from None
    missing = NEEDED - set(table.columns)
    if missing or table.empty:
        what = f"it has no column '{min(missing)}'" if missing else "it has no rows"
        raise UserError(f"{path}: is not what `simulate study accuracy` writes (accuracy.csv): {what}")
    return table


def pareto_table(accuracies: pd.DataFrame, costs: Mapping[tuple[str, str], Cost]) -> pd.DataFrame:
    """A row a (method, pattern) with both an accuracy (%) and a cost; `on_front` where no other row is better.

    One row is better than another when it is at least as good in accuracy, speed-up and energy, and better in one.
    """
    rows = [
        {**row, **vars(costs[str(row["method"]), str(row["pattern"])])}
        for row in accuracies[sorted(NEEDED)].to_dict("records")
        if (str(row["method"]), str(row["pattern"])) in costs
    ]
    table = pd.DataFrame(rows)[["method", "pattern", "accuracy", "accuracy_ci95", *Cost.__dataclass_fields__]]
    points = [
        (float(row["accuracy"]), float(row["speedup"]), -float(row["joules"])) for row in table.to_dict("records")
    ]
    known = [tuple(each for each in point if each == each) for point in points]  # NaN energies are left out
    return table.assign(on_front=[not any(_beats(other, mine) for other in known) for mine in known])


def _beats(other: Sequence[float], mine: Sequence[float]) -> bool:
    return all(a >= b for a, b in zip(other, mine, strict=True)) and tuple(other) != tuple(mine)
