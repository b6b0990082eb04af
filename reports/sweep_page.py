"""The page of a sweep: its front, every axis by itself, the best points, and what the objectives hang on."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from reports.figures.style import inline_svg
from reports.figures.sweep import axes_figure, front_figure, ranking_figure
from reports.page.build import Drawn, Page, Section, rendered
from reports.page.tables import PageTable, page_table
from reports.reporting import put_page
from reports.sweep_data import Objective, axes_of, best_by_budget, on_front, parse_objectives, ranking, sweep_rows

MOST_ROWS = 200  # of a table; all of them are in the folder


def write_page(folder: Path, objectives: Sequence[str]) -> Path:
    """Write `sweep.html` into a sweep's folder. Raises UserError where there is nothing to show or no room for it."""
    rows = sweep_rows(folder)
    text = sweep_page(rows, parse_objectives(objectives, rows), folder.name)
    path = folder / "sweep.html"
    put_page(path, text, option="")
    return path


def sweep_page(rows: pd.DataFrame, objectives: Sequence[Objective], name: str) -> str:
    """The page as HTML."""
    front, axes = on_front(rows, objectives), axes_of(rows)
    first = objectives[0]
    goals = ", ".join(each.words for each in objectives)
    sections = [
        Section(
            "Pareto front",
            [f"{int(front.sum()):,} of {len(rows):,} points are on the front of {goals}, for each model and batch."],
            pictures=_front_pictures(rows, front, objectives),
            tables=[_points("front", "Points on the front.", rows[front], axes, objectives)],
        ),
        Section("Every axis by itself", pictures=_axes_pictures(rows, axes, objectives)),
    ]
    if "pes" in rows and rows["pes"].notna().all():
        best = best_by_budget(rows, first)
        said = f"The point of {first.words} with so many PEs or fewer; sizes that bring nothing are left out."
        sections.append(Section("Best points under a budget", tables=[_points("budget", said, best, axes, objectives)]))
    sections.append(_sensitivity(rows, objectives))
    return rendered(Page(f"Sweep {name}", [f"{len(rows):,} points, {len(axes)} axes: {', '.join(axes)}."], sections))


def _front_pictures(rows: pd.DataFrame, front: pd.Series, objectives: Sequence[Objective]) -> list[Drawn]:
    first = objectives[0]
    return [
        Drawn(
            f"All points by {first.column} and {other.column}; circles are on the front of all objectives together.",
            inline_svg(front_figure(rows, front, first, other), f"front-{number}"),
            True,
        )
        for number, other in enumerate(objectives[1:])
    ]


def _axes_pictures(rows: pd.DataFrame, axes: Sequence[str], objectives: Sequence[Objective]) -> list[Drawn]:
    if not axes:
        return []
    return [
        Drawn(
            f"Every point at its value of each axis, by {each.column}; the line goes through the best.",
            inline_svg(axes_figure(rows, axes, each), f"axes-{number}"),
            True,
        )
        for number, each in enumerate(objectives)
    ]


def _points(
    name: str, caption: str, rows: pd.DataFrame, axes: Sequence[str], objectives: Sequence[Objective]
) -> PageTable:
    ordered = rows.sort_values(objectives[0].column, ascending=objectives[0].least)
    columns = list(dict.fromkeys(["model", "batch", *axes, *(each.column for each in objectives), "speedup", "key"]))
    more = f" The first {MOST_ROWS} of {len(ordered):,}." if len(ordered) > MOST_ROWS else ""
    return page_table(name, caption + more, ordered[columns].head(MOST_ROWS), wide=True)


def _sensitivity(rows: pd.DataFrame, objectives: Sequence[Objective]) -> Section:
    ranked = ranking(rows, objectives)
    if not len(ranked):
        return Section("Sensitivity", ["Only the model or the batch differs."])
    caption = "Share of each objective's variance (of its logarithm) that an axis explains alone."
    drawn = Drawn(caption, inline_svg(ranking_figure(ranked), "ranking"), False)
    return Section("Sensitivity", pictures=[drawn], tables=[page_table("ranking", caption, ranked.rename_axis("axis"))])
