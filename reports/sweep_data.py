"""A sweep's rows as one table: fronts, the best points, and what the objectives hang on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from simulator.sweep.store import DAMAGED, POINTS, RESULTS, alike, names_of, point_columns
from workloads.errors import UserError, unknown_name
from workloads.files.limits import TABLE_VALUES

SAID = {"model", "batch"}  # what the fronts are taken for, of every row
NAMED = {"key", "sequence", "pes", "onchip_kib"}
DEFAULT = ("min:seconds", "min:energy_j", "min:pes")


@dataclass(frozen=True)
class Objective:
    """A column and whether less of it is better."""

    column: str
    least: bool

    @property
    def words(self) -> str:
        return f"{'least' if self.least else 'most'} {self.column.replace('_', ' ')}"


def sweep_rows(folder: Path) -> pd.DataFrame:
    """All rows of a sweep, sorted by what the points are. Raises UserError where there are none.

    A key is another one whenever the models change, so that an order of keys would move every row of a page.
    """
    paths = sorted((folder / POINTS).glob("*.parquet"))
    if not paths:
        raise UserError(f"{folder}: holds no finished point")
    tables, known, length = [], set[str](), 0
    for path in paths:
        tables.append(table := _point_table(path))
        known, length = known | {*table}, length + _length(table)
        if len(known) * length > TABLE_VALUES:  # the values that one table of them all has
            said = f"holds more than {TABLE_VALUES:,} values, which is the most that a page is made of"
            raise UserError(f"{folder}: {said}")
    columns = {
        name: list(chain.from_iterable(each.get(name, [None] * _length(each)) for each in tables))
        for name in names_of(tables)
    }
    rows = pd.DataFrame({name: alike(values) for name, values in columns.items()})
    names = [name for name in rows.columns[: rows.columns.get_loc(RESULTS)] if name != "key"]
    return rows.sort_values([*names, "key"], ignore_index=True)


def _point_table(path: Path) -> Mapping[str, Sequence[object]]:
    """The columns of a file. Raises UserError where it is no part of a sweep, or holds what no model gives."""
    columns = point_columns(path)
    for name in sorted(SAID - set(columns)):
        raise UserError(f"{path}: has no column '{name}'; {DAMAGED}")
    for name, values in columns.items():
        if any(isinstance(value, float) and not math.isfinite(value) for value in values):
            raise UserError(f"{path}: {name}: holds a number that is not finite; {DAMAGED}")
    return columns


def _length(table: Mapping[str, Sequence[object]]) -> int:
    return len(table["key"])


def parse_objectives(texts: Sequence[str], rows: pd.DataFrame) -> list[Objective]:
    """`min:COLUMN` or `max:COLUMN`; by default time, energy and PEs, as far as the rows have them.

    Raises UserError for a column that is no number of the rows.
    """
    numeric = [str(name) for name in rows.columns if pd.api.types.is_numeric_dtype(rows[name])]
    chosen = texts or [text for text in DEFAULT if text.partition(":")[2] in numeric]
    found = []
    for text in chosen:
        direction, _, column = text.partition(":")
        if direction not in ("min", "max") or not column:
            raise UserError(f"--objective {text}: write min:COLUMN or max:COLUMN, such as min:seconds")
        if column not in numeric:
            raise unknown_name("objective", column, numeric, "--objective")
        found.append(Objective(column, direction == "min"))
    if not found:
        raise UserError("--objective: the rows have no seconds, no energy_j and no pes; name a column of theirs")
    return found


def axes_of(rows: pd.DataFrame) -> list[str]:
    """The columns that say what a point is and differ between points."""
    before = list(rows.columns[: list(rows.columns).index(RESULTS)])
    return [str(name) for name in before if name not in NAMED and rows[name].nunique(dropna=False) > 1]


def on_front(rows: pd.DataFrame, objectives: Sequence[Objective]) -> pd.Series:
    """Whether no other row of the same model and batch is at least as good in all objectives and better in one."""
    front = pd.Series(False, index=rows.index)
    for _, group in rows.groupby(["model", "batch"]):
        values = group[[each.column for each in objectives]].to_numpy(float)
        values = values * [1 if each.least else -1 for each in objectives]
        front[group.index] = _undominated(values)
    return front


def _undominated(values: np.ndarray) -> np.ndarray:
    """Rows that no other row dominates; the less the better. Looks at rows in order of their sum of ranks."""
    keep = np.ones(len(values), dtype=bool)
    for index in np.argsort(values.sum(axis=1)):
        if keep[index]:
            worse = (values >= values[index]).all(axis=1) & (values > values[index]).any(axis=1)
            keep &= ~worse
    return keep


def best_by_budget(rows: pd.DataFrame, objective: Objective, budget: str = "pes") -> pd.DataFrame:
    """For every model, batch and value of a budget, the best point that needs no more of it; only where more helps."""
    sign = 1 if objective.least else -1
    ordered = rows.assign(_rank=sign * rows[objective.column]).sort_values([budget, "_rank", "key"])
    kept: list[pd.Series] = []
    for _, group in ordered.groupby(["model", "batch"], sort=True):
        best = np.inf
        for _, row in group.iterrows():
            if row["_rank"] < best:
                best = row["_rank"]
                if kept and kept[-1][budget] == row[budget] and kept[-1]["model"] == row["model"]:
                    kept.pop()
                kept.append(row)
    return pd.DataFrame(kept).drop(columns="_rank").reset_index(drop=True)


def ranking(rows: pd.DataFrame, objectives: Sequence[Objective]) -> pd.DataFrame:
    """For every axis, the share of an objective's variance that its values explain, alone (eta squared).

    Variance of the logarithm between groups of equal value over all variance, averaged over models and batches.
    """
    table = {}
    for axis in (name for name in axes_of(rows) if name not in ("model", "batch")):
        table[axis] = {each.column: _eta_squared(rows, axis, each.column) for each in objectives}
    ranked = pd.DataFrame.from_dict(table, orient="index", columns=[each.column for each in objectives])
    return ranked.sort_values(objectives[0].column, ascending=False) if len(ranked) else ranked


def _eta_squared(rows: pd.DataFrame, axis: str, column: str) -> float:
    shares = []
    for _, group in rows.groupby(["model", "batch"]):
        values = pd.Series(np.log(group[column].astype(float).clip(lower=1e-300)))
        total = float(((values - values.mean()) ** 2).sum())
        means = values.groupby(group[axis].astype(str)).transform("mean")
        shares.append(float(((means - values.mean()) ** 2).sum()) / total if total else 0.0)
    return float(np.mean(shares))
