"""Roofline: every product of a step under the roofs of its machine."""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from reports.figures.style import MARK, PHASES, TEXT, new_figure, plain, title
from reports.layers import Roofs, roofline_points
from simulator.result import Result

GIGA = 1e9
DECADES = 1e4  # axes that span more are marked at powers of ten alone


def roofline_figure(result: Result, limits: Roofs) -> Figure:
    """Useful multiply-accumulates a second over useful ones a byte of DRAM; filled marks are sparse products."""
    points = roofline_points(result)
    figure = new_figure(6.4, 4.4)
    axes = figure.subplots()
    left, right = float(points["macs_per_byte"].min()) / 2, float(points["macs_per_byte"].max()) * 2
    reach = np.geomspace(left, max(right, 2 * limits.macs_per_second / limits.bytes_per_second), 100)
    roof = limits.macs_per_second / GIGA
    for rate, style, said in (
        (limits.peak_bytes_per_second, ":", "DRAM at its peak"),
        (limits.bytes_per_second, "-", "DRAM at the assumed efficiency"),
    ):
        heights = np.minimum(roof, reach * rate / GIGA)
        axes.plot(reach, heights, style, color=TEXT, lw=1, label=f"{said}, {rate / GIGA:.1f} GB/s")
    for phase, colour in PHASES.items():
        mine = points[points["phase"] == phase]
        for sparse in (False, True):
            some = mine[(mine["pattern"] != "dense") == sparse]
            face = colour if sparse else "none"
            axes.scatter(
                some["macs_per_byte"], some["macs_per_second"] / GIGA, s=26, facecolors=face, edgecolors=colour, lw=1.1
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        low, high = axis.get_view_interval()
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < DECADES * low else (1,), numticks=12))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("useful multiply-accumulates a byte of DRAM")
    axes.set_ylabel("useful multiply-accumulates\n(billion a second)")
    axes.annotate(
        f"all PEs: {roof:,.0f}",
        (reach[-1], roof),
        (0, 4),
        textcoords="offset points",
        ha="right",
        fontsize=8,
        color=MARK,
    )
    title(axes, "roofline: every product of the step")
    figure.legend(
        handles=_handles(axes, set(points["phase"])), loc="outside lower center", ncols=3, frameon=False, fontsize=8
    )
    return plain(figure, "both")


def _handles(axes: Axes, phases: set[str]) -> list[Artist]:
    lines = axes.get_legend_handles_labels()[0]
    marks = [Line2D([], [], ls="", marker="o", color=PHASES[phase], label=phase) for phase in PHASES if phase in phases]
    hollow = Line2D([], [], ls="", marker="o", color=TEXT, markerfacecolor="none", label="hollow: dense product")
    return [*lines, *marks, hollow]
