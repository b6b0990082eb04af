"""The picture of `simulate validate s4`: what every ratio may reach, beside the published points."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from reports.figures.style import FULL, LOSS, MARK, SERIES, new_figure, plain, title

COLOURS = {"int8": FULL, "bf16": SERIES[1]}
FAINT = {"int8": LOSS, "bf16": "#f6dfae"}
SHIFT = {"int8": -0.16, "bf16": 0.16}


def explained_figure(targets: Mapping[str, float], bands: pd.DataFrame) -> Figure:
    """A panel a point and distribution of inputs; bars from the worst to the best ends, a dot for the file as it is."""
    panels = list(bands[["model", "inputs"]].drop_duplicates().itertuples(index=False))
    figure = new_figure(3.5 * len(panels), 3.9)
    for axes, (model, inputs) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        mine = bands[(bands["model"] == model) & (bands["inputs"] == inputs)]
        _panel(axes, mine, targets[model])
        title(axes, f"{model}{', ' if inputs else ''}{inputs}")
    figure.axes[0].set_ylabel("samples a second")
    handles = [Line2D([], [], color=MARK, label="published (ratio not stated)")]
    for precision, colour in COLOURS.items():
        handles.append(Line2D([], [], color=FAINT[precision], lw=8, label=f"{precision.upper()}, all ranges"))
        handles.append(Line2D([], [], color=colour, marker="o", ls="", label=f"{precision.upper()}, as it stands"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    return plain(figure, "y")


def _panel(axes: Axes, mine: pd.DataFrame, published: float) -> None:
    ratios = sorted(mine["ratio"].unique())
    for row in mine.to_dict("records"):
        place, precision = ratios.index(row["ratio"]) + SHIFT[row["precision"]], row["precision"]
        axes.plot([place, place], [row["lowest"], row["highest"]], color=FAINT[precision], lw=9, solid_capstyle="butt")
        axes.plot(place, row["standing"], marker="o", ms=4, color=COLOURS[precision])
    axes.axhline(published, color=MARK, lw=1.2)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(range(len(ratios)), [f"{ratio}x" for ratio in ratios])
    axes.set_xlabel("ratio of bank sparsity")
