"""Pictures of a sweep: the front, every axis by itself, and what the objectives hang on."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.figures.style import (
    FULL,
    MARK,
    SERIES,
    TEXT,
    log_numbers,
    new_figure,
    one_panel,
    plain,
    title,
    with_legend,
)
from reports.sweep_data import Objective

MOST_PANELS = 9
COLUMNS = 3


def front_figure(rows: pd.DataFrame, front: pd.Series, x: Objective, y: Objective) -> Figure:
    """All points by two objectives, a panel a model and batch, those on the front marked."""
    groups = list(rows.groupby(["model", "batch"]))
    figure = new_figure(4.6 * min(len(groups), COLUMNS), 3.6 * -(-len(groups) // COLUMNS))
    panels = list(figure.subplots(-(-len(groups) // COLUMNS), min(len(groups), COLUMNS), squeeze=False).flat)
    for axes, ((model, batch), group) in zip(panels, groups, strict=False):
        _front(axes, group, front[group.index], x, y)
        title(axes, f"{model}, batch {batch}: {len(group):,} points")
    for axes in panels[len(groups) :]:
        axes.remove()
    return with_legend(figure, figure.axes[0], "both")


def _front(axes: Axes, group: pd.DataFrame, front: pd.Series, x: Objective, y: Objective) -> None:
    patterns = sorted(group["pattern"].unique())
    for number, pattern in enumerate(patterns):
        some = group[group["pattern"] == pattern]
        color = SERIES[number % len(SERIES)]
        axes.scatter(some[x.column], some[y.column], s=8, color=color, alpha=0.6, lw=0, label=f"{pattern}")
    best = group[front].sort_values(x.column)
    axes.scatter(
        best[x.column], best[y.column], s=30, facecolor="none", edgecolor=MARK, lw=1.1, label="nothing is better in all"
    )
    axes.set(xscale="log", yscale="log")
    log_numbers(axes.xaxis, "{x:g}")
    log_numbers(axes.yaxis, "{x:g}")
    axes.set(xlabel=_label(x.column), ylabel=_label(y.column))


def axes_figure(rows: pd.DataFrame, axes_names: Sequence[str], objective: Objective) -> Figure:
    """A panel an axis: every point at its value, and a line through the best one."""
    names = list(axes_names)[:MOST_PANELS]
    lines = -(-len(names) // COLUMNS)
    figure = new_figure(3.4 * min(len(names), COLUMNS), 2.6 * lines)
    panels = list(figure.subplots(lines, min(len(names), COLUMNS), squeeze=False).flat)
    for axes, name in zip(panels, names, strict=False):
        _axis(axes, rows, name, objective)
    for axes in panels[len(names) :]:
        axes.remove()
    return plain(figure, "y")


def _axis(axes: Axes, rows: pd.DataFrame, name: str, objective: Objective) -> None:
    values = sorted(rows[name].dropna().unique(), key=lambda value: (isinstance(value, str), value))
    place = {value: number for number, value in enumerate(values)}
    axes.scatter(rows[name].map(place), rows[objective.column], s=6, color=FULL, alpha=0.25, lw=0)
    grouped = rows.groupby(name)[objective.column]
    best = grouped.min() if objective.least else grouped.max()
    axes.plot([place[value] for value in best.index], best.to_numpy(), color=MARK, lw=1.2, marker="o", ms=3)
    axes.set_xticks(range(len(values)), [f"{value:g}" if isinstance(value, float) else str(value) for value in values])
    axes.tick_params(axis="x", rotation=45 if len(values) > 6 else 0)
    axes.set_yscale("log")
    log_numbers(axes.yaxis, "{x:g}")
    axes.set_ylabel(_label(objective.column))
    title(axes, name)


def ranking_figure(ranked: pd.DataFrame) -> Figure:
    """Bars an axis and objective: the share of the variance that the axis explains alone."""
    figure, axes = one_panel(6.8, 0.8 + 0.28 * len(ranked) * max(1, len(ranked.columns)) ** 0.5)
    height = 0.8 / len(ranked.columns)
    for number, column in enumerate(ranked.columns):
        places = [row + number * height for row in range(len(ranked))]
        axes.barh(places, 100 * ranked[column], height=height * 0.92, color=SERIES[number], label=_label(str(column)))
    axes.set_yticks([row + 0.4 - height / 2 for row in range(len(ranked))], [str(name) for name in ranked.index])
    axes.invert_yaxis()
    axes.set(xlim=(0, 100), xlabel="share of the variance explained alone, %")
    axes.axvline(0, color=TEXT, lw=0.6)
    return with_legend(figure, axes, "x")


def _label(column: str) -> str:
    return {"seconds": "time of a step, s", "energy_j": "energy of a step, J", "pes": "PEs"}.get(
        column, column.replace("_", " ")
    )
