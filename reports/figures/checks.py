"""The picture of `simulate validate`: ours over theirs, row by row."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.figures.style import MARK, TEXT, new_figure, plain

COLOURS = {"pass": "#009e73", "inside band": "#0072b2", "outside band": "#d55e00"}


def checks_figure(table: pd.DataFrame) -> Figure:
    """Ours as a share of theirs, with how far either may reach; rows without a number on both sides are left out."""
    shown = table[table["status"] != "unknown"].iloc[::-1]
    figure = new_figure(10, 0.3 * len(shown) + 1.4)
    axes = figure.subplots()
    for place, row in enumerate(shown.to_dict("records")):
        theirs, colour = row["theirs"], COLOURS[row["status"]]
        _reach(axes, row, "theirs", theirs, place, "#c8c8c8", 9)
        _reach(axes, row, "ours", theirs, place, colour, 2)
        axes.plot(row["ours"] / theirs, place, marker="o", ms=5, color=colour)
    axes.axvline(1, color=MARK, lw=1, zorder=0)
    axes.set_yticks(range(len(shown)), [f"{row.machine}: {row.what}" for row in shown.itertuples()])
    axes.set_ylim(-0.7, len(shown) - 0.3)
    axes.set_xlabel("ours over theirs (1 is the same)")
    unknown = int((table["status"] == "unknown").sum())
    said = f"published or measured elsewhere, beside what our models say ({unknown} unknown rows are not drawn)"
    figure.suptitle(said, fontsize=10, x=0.01, ha="left", color=TEXT)
    handles = [Line2D([], [], ls="", marker="o", color=colour, label=name) for name, colour in COLOURS.items()]
    handles.append(Line2D([], [], color="#c8c8c8", lw=9, label="how far theirs reaches"))
    handles.append(Line2D([], [], color=TEXT, lw=2, label="how far our assumptions move ours"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    return plain(figure, "x")


def _reach(
    axes: Axes, row: Mapping[Hashable, Any], name: str, unit: float, place: int, colour: str, width: float
) -> None:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if not (pd.isna(low) or pd.isna(high)):
        axes.plot([low / unit, high / unit], [place, place], color=colour, lw=width, zorder=1, solid_capstyle="butt")
