"""The picture of `simulate study sparsity`: throughput against the ratio and what bounds it, a panel a model."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from reports.figures.style import FULL, LOSS, MARK, SERIES, log_numbers, new_figure, plain, title
from reports.studies.sparsity import BOUNDS

COLOURS = dict(zip(BOUNDS, (FULL, LOSS, "#e69f00", "#009e73", "#cc79a7", "#8c8c8c"), strict=True))
MACHINES = {
    ("t4", "dense"): ("T4", SERIES[5]),
    ("a100", "dense"): ("A100", SERIES[2]),
    ("a100", "2:4"): ("A100, 2:4", SERIES[3]),
}
WIDE = 3


def sparsity_figure(table: pd.DataFrame, beside: pd.DataFrame) -> Figure:
    """Lines with the ideal dashed and GPUs as stars at the ratio they run at; below, what the time is bound by."""
    models = list(dict.fromkeys(table["model"]))
    wide, high = min(WIDE, len(models)), -(-len(models) // WIDE)
    figure = new_figure(3.3 * wide + 0.6, 3.5 * high + 0.7)
    panels = figure.subplots(2 * high, wide, squeeze=False, height_ratios=[3, 1] * high)
    for place in range(wide * high):
        upper, lower = panels[place // wide * 2][place % wide], panels[place // wide * 2 + 1][place % wide]
        if place < len(models):
            mine = table[table["model"] == models[place]]
            _rates(upper, mine, beside[beside["model"] == models[place]])
            _bounds(lower, mine)
        else:
            upper.set_visible(False)
            lower.set_visible(False)
        if place % wide == 0:
            upper.set_ylabel("samples a second")
            lower.set_ylabel("time")
    figure.legend(handles=_handles(table), loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    return plain(figure, "y")


def _rates(axes: Axes, mine: pd.DataFrame, beside: pd.DataFrame) -> None:
    axes.plot(mine["ratio"], mine["ideal"], color=MARK, lw=1.2, ls="--")
    axes.plot(mine["ratio"], mine["samples_per_second"], color=FULL, lw=1.5, marker="o", ms=4)
    for row in beside.to_dict("records"):
        colour = MACHINES[row["machine"], row["pattern"]][1]
        ratio = 2 if row["pattern"] == "2:4" else 1
        axes.plot(ratio, row["samples_per_second"], marker="*", ms=10, color=colour, ls="", zorder=3)
    axes.set_yscale("log")
    log_numbers(axes.yaxis, "{x:,.0f}")
    title(axes, f"{mine['model'].iloc[0]}, batch {mine['batch'].iloc[0]}")
    _ratios(axes, mine)


def _bounds(axes: Axes, mine: pd.DataFrame) -> None:
    """Shares of the time under each bound, one bar a ratio."""
    bottom = mine["ratio"] * 0.0
    for name in BOUNDS:
        axes.bar(mine["ratio"], mine[name], bottom=bottom, width=mine["ratio"] * 0.5, color=COLOURS[name])
        bottom = bottom + mine[name]
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 1], ["0 %", "100 %"])
    _ratios(axes, mine)


def _ratios(axes: Axes, mine: pd.DataFrame) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xlim(0.7, mine["ratio"].max() * 1.45)
    axes.set_xticks(list(mine["ratio"]), [f"{ratio}x" for ratio in mine["ratio"]])
    axes.minorticks_off()


def _handles(table: pd.DataFrame) -> list[Line2D | Patch]:
    lines: list[Line2D | Patch] = [
        Line2D([], [], color=FULL, marker="o", ms=4, label="S4 model"),
        Line2D([], [], color=MARK, ls="--", label="ideal: dense times the ratio"),
    ]
    stars = [Line2D([], [], color=colour, marker="*", ls="", ms=9, label=name) for name, colour in MACHINES.values()]
    used = [name for name in BOUNDS if table[name].max() > 0]
    return [*lines, *stars, *(Patch(color=COLOURS[name], label=f"bound by {name}") for name in used)]
