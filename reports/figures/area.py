"""What n:m costs over a plain dense array, and what is left of the speed-up at equal area."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.energy import energy_total, has_energy
from reports.figures.compare import stacked_phases
from reports.figures.style import (
    FULL,
    LOSS,
    MARK,
    SERIES,
    TEXT,
    name_rows,
    new_figure,
    title,
    with_legend,
)
from simulator.result import Result


def area_figure(table: pd.DataFrame) -> Figure:
    """Columns as `simulate area` writes them: LUTs a PE, clock of 4 x 4 PEs, speed-up ideal and at equal area."""
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
    title(clock, "clock of a 4 x 4 array (MHz)")
    _left(left, patterns, last)
    title(left, f"speed-up on sparse work, {sizes[-1]} x {sizes[-1]}")
    for axes in (cells, clock, left):
        axes.set_xticks(range(len(patterns)), patterns)
    return with_legend(figure, cells)


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


def iso_area_figure(results: Sequence[Result], labels: Sequence[str]) -> Figure:
    """Time by phase and energy of every result; the first is what the others are compared with."""
    energy = all(has_energy(result) for result in results)
    figure = new_figure(9 if energy else 5.5, 0.5 * len(results) + 1.6)
    panels = list(figure.subplots(1, 2 if energy else 1, sharey=True, squeeze=False)[0])
    times = stacked_phases(panels[0], results)
    for place, value in enumerate(times):
        panels[0].text(value, place, f" {times[0] / value:.2f}x", va="center", fontsize=8, color=TEXT)
    panels[0].set_xlabel("time (ms); how many times faster than the first")
    title(panels[0], "time by phase")
    if energy:
        totals = [energy_total(result) for result in results]
        panels[1].barh(range(len(results)), [each.joules for each in totals], height=0.6, color="#93b5cc")
        for place, each in enumerate(totals):
            panels[1].plot([each.low, each.high], [place, place], color=MARK, lw=1, marker="|", ms=6)
        panels[1].set_xlabel("energy (J); line: range of the energy table")
        title(panels[1], "energy")
    name_rows(panels[0], labels)
    panels[0].margins(x=0.2)
    return with_legend(figure, panels[0], "x")
