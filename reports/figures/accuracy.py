"""The picture of a study of accuracy."""

from textwrap import fill

import pandas as pd
from matplotlib.figure import Figure

from reports.accuracy import DENSE
from reports.figures.style import GRID, SERIES, TEXT, legend, new_figure, plain, title

MARKERS = ("o", "s", "^", "D", "v", "P")
LETTERS = 95  # a line of the title
SHIFT = 0.06  # between lines, so that error bars stay apart


def accuracy_figure(table: pd.DataFrame, words: str) -> Figure:
    """Test accuracy (%) against pattern, a line a method with 95 % intervals; dense training is the band."""
    figure = new_figure(7, 4.2)
    axes = figure.subplots()
    sparse = table[table["pattern"] != DENSE]
    patterns, methods = list(dict.fromkeys(sparse["pattern"])), list(dict.fromkeys(sparse["method"]))
    for row in table[table["pattern"] == DENSE].to_dict("records"):
        mean, half = row["accuracy"], row["accuracy_ci95"]
        axes.axhspan(mean - half, mean + half, color=GRID, lw=0)
        axes.axhline(mean, color=TEXT, lw=1, label=DENSE)
    for number, method in enumerate(methods):
        rows = sparse[sparse["method"] == method]
        shift = (number - (len(methods) - 1) / 2) * SHIFT
        axes.errorbar(
            [patterns.index(pattern) + shift for pattern in rows["pattern"]],
            rows["accuracy"],
            rows["accuracy_ci95"],
            label=method,
            color=SERIES[number % len(SERIES)],
            marker=MARKERS[number % len(MARKERS)],
            markersize=5,
            linewidth=1.2,
            capsize=3,
        )
    axes.set_xticks(range(len(patterns)), patterns)
    axes.set_xlabel("pattern (n kept of every m)")
    axes.set_ylabel("test accuracy (%), mean and 95 % interval")
    title(axes, fill(words, LETTERS))
    legend(figure, axes, len(methods) + 1)
    return plain(figure)
