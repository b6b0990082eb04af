"""A training run on a backend: loss and accuracy beside torch's, and cycles, step by step."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports.figures.style import PHASES, new_figure, title, with_legend

OURS, TORCH = PHASES["FF"], PHASES["BP"]
POINTS = 600  # of a line at most: more are means of neighbours
WINDOW = 20  # steps of a running mean
FAINT = 0.3


def training_figure(log: pd.DataFrame, backend: str) -> Figure:
    """log: a row a step, with the columns of `log.csv`. Cycles where the backend has a clock."""
    clock = bool((log["cycles"] > 0).any())
    figure = new_figure(11 if clock else 8, 3.4)
    panels = list(figure.subplots(1, 3 if clock else 2))
    in_torch = "torch_loss" in log
    ours = f"on {backend.partition(':')[0]}"  # without its machine
    for axes, column, name, factor in (
        (panels[0], "loss", "loss of a batch", 1.0),
        (panels[1], "accuracy", "accuracy in a batch (%)", 100.0),
    ):
        _line(axes, log["step"], log[column] * factor, OURS, ours, "-", 2.4)
        if in_torch:  # on top, where both are the same
            _line(axes, log["step"], log[f"torch_{column}"] * factor, TORCH, "in torch", "--", 1.2)
        axes.set(xlabel="step", ylabel=name)
    title(panels[0], f"running mean over {WINDOW} steps; each step faint")
    if clock:
        panels[2].plot(*_thinned(log["step"], log["cycles"]), color=OURS, lw=1)
        panels[2].set(xlabel="step", ylabel="clock cycles of a step")
        panels[2].set_ylim(0, 1.1 * float(log["cycles"].max()))
        panels[2].yaxis.set_major_formatter("{x:,.0f}")
    for axes in panels:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    return with_legend(figure, panels[0], "both")


def _line(
    axes: Axes, steps: "pd.Series[float]", values: "pd.Series[float]", colour: str, name: str, dash: str, width: float
) -> None:
    axes.plot(*_thinned(steps, values), color=colour, alpha=FAINT, lw=0.8)
    mean = values.rolling(WINDOW, min_periods=1, center=True).mean()
    axes.plot(*_thinned(steps, mean), color=colour, lw=width, ls=dash, label=name)


def _thinned(steps: "pd.Series[float]", values: "pd.Series[float]") -> Sequence[np.ndarray]:
    """At most POINTS points of a line, each the mean of as many neighbours."""
    size = -(-len(values) // POINTS)
    group = np.arange(len(values)) // size
    return [each.groupby(group).mean().to_numpy() for each in (steps, values)]
