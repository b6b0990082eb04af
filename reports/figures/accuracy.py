"""Accuracy of training: by pattern, and against speed-up and energy with the Pareto front."""

from textwrap import fill

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.accuracy import DENSE
from reports.figures.style import GRID, MARK, SERIES, TEXT, new_figure, one_panel, title, with_legend

LINE_MARKERS = ("o", "s", "^", "D", "v", "P")
MARKERS = (*LINE_MARKERS, "X", "*")
LETTERS = 95  # a line of the title
SHIFT = 0.06  # between lines, so that error bars stay apart
MOST_LABELS = 12  # of more points only the best of each pattern says its name
CLOSE = 0.06  # as a share of what is shown: labels nearer to each other overlap


def accuracy_figure(table: pd.DataFrame, words: str) -> Figure:
    """Test accuracy (%) against pattern, a line a method with 95 % intervals; dense training is the band."""
    figure, axes = one_panel(7, 4.2)
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
            marker=LINE_MARKERS[number % len(LINE_MARKERS)],
            markersize=5,
            linewidth=1.2,
            capsize=3,
        )
    axes.set_xticks(range(len(patterns)), patterns)
    axes.set(xlabel="pattern (n kept of every m)", ylabel="test accuracy (%), mean and 95 % interval")
    title(axes, fill(words, LETTERS))
    return with_legend(figure, axes, columns=len(methods) + 1)


def pareto_figure(table: pd.DataFrame, words: str) -> Figure:
    """Accuracy over speed-up and over energy; filled marks and the line are rows that no other beats in all three."""
    energy = bool(table["joules"].notna().all())
    figure = new_figure(10 if energy else 6, 4.6)
    panels = list(figure.subplots(1, 2 if energy else 1, sharey=True, squeeze=False)[0])
    _points(panels[0], table, "speedup")
    panels[0].set(xlabel="speed-up over dense training (x)", ylabel="test accuracy (%), mean and 95 % interval")
    title(panels[0], words)
    if energy:
        _points(panels[1], table, "joules")
        panels[1].set_xlabel("energy of a step (J); less is better")
    return with_legend(figure, panels[0], "both", columns=6)


def _points(axes: Axes, table: pd.DataFrame, column: str) -> None:
    methods = list(dict.fromkeys(table["method"]))
    front = table[table["on_front"]].sort_values([column, "accuracy"])
    axes.plot(front[column], front["accuracy"], color=MARK, lw=1, ls="--", zorder=1, label="Pareto front of all three")
    for number, method in enumerate(methods):
        colour, marker = SERIES[number % len(SERIES)], MARKERS[number % len(MARKERS)]
        for row in table[table["method"] == method].to_dict("records"):
            face = colour if row["on_front"] else "none"
            axes.errorbar(row[column], row["accuracy"], row["accuracy_ci95"], color=colour, lw=0.8, capsize=2, zorder=2)
            axes.plot(row[column], row["accuracy"], marker, mfc=face, mec=colour, ms=6, zorder=3)
        axes.plot([], [], marker, ls="", color=colour, label=method)
    shown = (
        table if len(table) <= MOST_LABELS else table.sort_values("accuracy").drop_duplicates("pattern", keep="last")
    )
    place = (6, 6) if column == "speedup" else (6, -11)  # where the front does not run
    for said, x, y in _named(shown, column):
        axes.annotate(said, (x, y), place, textcoords="offset points", fontsize=7, color=TEXT)
    axes.margins(x=0.1)


def _named(shown: pd.DataFrame, column: str) -> list[tuple[str, float, float]]:
    """Patterns and where their points are; of points of one pattern close together, one is named."""
    wide, high = (float(shown[name].max() - shown[name].min()) or 1.0 for name in (column, "accuracy"))
    named: list[tuple[str, float, float]] = []
    for row in shown.sort_values("accuracy", ascending=False).to_dict("records"):
        said, x, y = str(row["pattern"]), float(row[column]), float(row["accuracy"])
        close = ((abs(x - at) / wide, abs(y - up) / high) for other, at, up in named if other == said)
        if not any(across < CLOSE and above < CLOSE for across, above in close):
            named.append((said, x, y))
    return named
