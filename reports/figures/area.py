"""What n:m costs over a plain dense array, and what is left of the speed-up at equal area."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.figures.style import FULL, LOSS, MARK, SERIES, legend, new_figure, plain, title


def area_figure(table: pd.DataFrame) -> Figure:
    """Columns as `simulate area` writes them: LUTs a PE by size, clock of a PE, speed-up ideal and at equal area."""
    figure = new_figure(11, 3.6)
    cells, clock, left = figure.subplots(1, 3)
    patterns = list(dict.fromkeys(table["pattern"]))
    sizes = sorted(set(table["rows"]))
    width = 0.8 / len(sizes)
    for number, size in enumerate(sizes):
        part = table[table["rows"] == size].set_index("pattern").loc[patterns]
        places = [place + (number - (len(sizes) - 1) / 2) * width for place in range(len(patterns))]
        cells.bar(places, part["luts_per_pe"], width=width, color=SERIES[number], label=f"{size} x {size}")
    title(cells, "LUTs per PE, edges and control included")
    last = table[table["rows"] == sizes[-1]].set_index("pattern").loc[patterns]
    clock.bar(range(len(patterns)), last["fmax_mhz"], width=0.6, color=LOSS)
    title(clock, "clock of a PE (MHz)")
    _left(left, patterns, last)
    title(left, f"speed-up on sparse work, {sizes[-1]} x {sizes[-1]}")
    for axes in (cells, clock, left):
        axes.set_xticks(range(len(patterns)), patterns)
    legend(figure, cells)
    return plain(figure)


def _left(axes: Axes, patterns: Sequence[str], last: pd.DataFrame) -> None:
    for place, pattern in enumerate(patterns):
        ideal, kept = (float(last[name][pattern]) for name in ("speedup_ideal", "speedup_equal_area"))
        axes.plot([place, place], [kept, ideal], color=LOSS, lw=6, zorder=1)
        axes.plot(place, ideal, "o", color=FULL, label="by arithmetic" if not place else None)
        axes.plot(place, kept, "D", color=MARK, label="at equal area" if not place else None)
        shift, side = ((-7, -8), "right") if place == len(patterns) - 1 else ((7, 6), "left")
        axes.annotate(f"{kept:.2f}", (place, kept), shift, textcoords="offset points", fontsize=8, ha=side)
    axes.axhline(1, color="#222222", lw=0.8)
    axes.set_ylim(0)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
