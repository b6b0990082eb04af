"""The picture of `simulate validate`: ours over theirs, row by row."""

from collections.abc import Hashable, Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.figures.style import MARK, TEXT, new_figure, plain

COLOURS = {"pass": "#009e73", "inside band": "#0072b2", "outside band": "#d55e00"}
DIFFERENCES = "points"  # rows in this unit are themselves differences: a ratio of them says nothing


def checks_figure(table: pd.DataFrame) -> Figure:
    """Ours as a share of theirs, with how far either may reach, and below, ours less theirs for rows in points.

    Rows without a number on both sides are left out.
    """
    shown = table[table["status"] != "unknown"].iloc[::-1]
    parts = [part for part in (shown[shown["unit"] != DIFFERENCES], shown[shown["unit"] == DIFFERENCES]) if len(part)]
    figure = new_figure(10, 0.3 * len(shown) + 1.4 + 0.6 * (len(parts) - 1))
    panels = figure.subplots(len(parts), 1, squeeze=False, height_ratios=[len(part) + 1 for part in parts])[:, 0]
    for axes, part in zip(panels, parts, strict=True):
        _panel(axes, part)
    unknown = int((table["status"] == "unknown").sum())
    said = f"published or measured elsewhere, beside what our models say ({unknown} unknown rows are not drawn)"
    figure.suptitle(said, fontsize=10, x=0.01, ha="left", color=TEXT)
    handles = [Line2D([], [], ls="", marker="o", color=colour, label=name) for name, colour in COLOURS.items()]
    handles.append(Line2D([], [], color="#c8c8c8", lw=9, label="how far theirs reaches"))
    handles.append(Line2D([], [], color=TEXT, lw=2, label="how far our assumptions, or seeds, move ours"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    return plain(figure, "x")


def _panel(axes: Axes, rows: pd.DataFrame) -> None:
    less = (rows["unit"] == DIFFERENCES).all()
    for place, row in enumerate(rows.to_dict("records")):
        theirs, colour = row["theirs"], COLOURS[row["status"]]
        zero, unit = (theirs, 1.0) if less else (0.0, theirs)
        _reach(axes, row, "theirs", zero, unit, place, "#c8c8c8", 9)
        _reach(axes, row, "ours", zero, unit, place, colour, 2)
        axes.plot((row["ours"] - zero) / unit, place, marker="o", ms=5, color=colour)
    axes.axvline(0 if less else 1, color=MARK, lw=1, zorder=0)
    axes.set_yticks(range(len(rows)), [f"{row.machine}: {row.what}" for row in rows.itertuples()])
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlabel("ours less theirs, in points (0 is the same)" if less else "ours over theirs (1 is the same)")


def _reach(
    axes: Axes,
    row: Mapping[Hashable, float],
    name: str,
    zero: float,
    unit: float,
    place: int,
    colour: str,
    width: float,
) -> None:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if not (pd.isna(low) or pd.isna(high)):
        ends = [(low - zero) / unit, (high - zero) / unit]
        axes.plot(ends, [place, place], color=colour, lw=width, zorder=1, solid_capstyle="butt")
