"""The picture of a study of accuracy. Needs the extra `report`."""

import pandas as pd
from matplotlib.figure import Figure

from reports.accuracy import DENSE

COLOURS = ("#2f6f9f", "#b5482f", "#3c8d5a", "#8a5aa8", "#b08a2e", "#5b5b5b")
MARKERS = ("o", "s", "^", "D", "v", "P")
SHIFT = 0.06  # between lines, so that error bars stay apart


def accuracy_figure(table: pd.DataFrame, title: str) -> Figure:
    """Test accuracy (%) against pattern, a line a method with 95 % intervals; dense training is the band."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    sparse = table[table["pattern"] != DENSE]
    patterns, methods = list(dict.fromkeys(sparse["pattern"])), list(dict.fromkeys(sparse["method"]))
    for row in table[table["pattern"] == DENSE].to_dict("records"):
        mean, half = row["accuracy"], row["accuracy_ci95"]
        axes.axhline(mean, color="#222222", lw=1, label="dense")
        axes.axhspan(mean - half, mean + half, color="#dddddd", lw=0)
    for number, method in enumerate(methods):
        rows = sparse[sparse["method"] == method]
        shift = (number - (len(methods) - 1) / 2) * SHIFT
        places = [patterns.index(pattern) + shift for pattern in rows["pattern"]]
        bars = axes.errorbar(places, rows["accuracy"], rows["accuracy_ci95"], capsize=3, lw=1.2, ms=5, label=method)
        bars.lines[0].set(color=COLOURS[number % len(COLOURS)], marker=MARKERS[number % len(MARKERS)])
        for part in (*bars.lines[1], *bars.lines[2]):
            part.set_color(COLOURS[number % len(COLOURS)])
    axes.set_xticks(range(len(patterns)), patterns)
    axes.set_xlabel("pattern (n kept of every m)")
    axes.set_ylabel("test accuracy (%)")
    axes.set_title(title, fontsize=9, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", lw=0.6)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=8, ncols=2)
    return figure
