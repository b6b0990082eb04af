"""Kernels on a fabric: runtimes over a sweep, what threads spend their time on, and load over time."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reports.figures.style import FULL, MARK, new_figure, one_panel, plain, title, with_legend
from simulator.fabric.outcome import EventRecord, Spent
from simulator.fabric.rates import TICKS
from simulator.result import Result

COLOURS = {
    "smash-v1": "#9ecae1",
    "smash-v1 pieces": "#6baed6",
    "smash-v2": "#3182bd",
    "smash-v3": "#08519c",
    "smash-v3 operands": "#08306b",
    "row-wise": "#b5482f",
    "heap-merge": "#e08a5c",
    "outer": "#7a7a7a",
    "inner": "#b8b8b8",
}
SPENT_COLOURS = {
    Spent.ISSUE: "#08519c",
    Spent.LATENCY: "#6baed6",
    Spent.PIPELINE: "#c6dbef",
    Spent.SCRATCHPAD: "#9e9ac8",
    Spent.ATOMIC: "#6a51a3",
    Spent.MEMORY: "#e08a5c",
    Spent.NETWORK: "#fdd0a2",
    Spent.DMA: "#a1d99b",
    Spent.SERIAL: "#31a354",
    Spent.IDLE: "#e5e5e5",
}
AXES = {
    "size": "scale of the R-MAT matrix (2^scale rows)",
    "skew": "R-MAT a (0.25: no skew)",
    "density": "elements a row",
}
MEASURES = {
    "cycles": "cycles a product",
    "gb_s": "memory traffic, GB/s",
    "instructions_per_cycle": "instructions a cycle and pipeline",
}


def sweep_figure(runs: pd.DataFrame, sweep: str) -> Figure:
    """Runtime, memory bandwidth and instructions a cycle of every kernel over one sweep."""
    figure = new_figure(11, 3.9)
    mine = runs[runs["sweep"] == sweep]
    for axes, (measure, label) in zip(figure.subplots(1, 3), MEASURES.items(), strict=True):
        for kernel, group in mine.groupby("kernel", sort=False):
            scale = group["products"] if measure == "cycles" else 1
            values = group[measure] / scale
            axes.plot(group["point"], values, marker="o", ms=4, lw=1.5, color=COLOURS[str(kernel)], label=str(kernel))
        axes.set_yscale("log" if measure == "cycles" else "linear")
        axes.set_xticks(sorted(set(mine["point"])))
        axes.set_xlabel(AXES[sweep], fontsize=8)
        axes.set_title(label, fontsize=9, loc="left")
    return with_legend(figure, figure.axes[0], "both", columns=len(mine["kernel"].unique()))


def time_figure(shares: Mapping[str, Mapping[str, float]], title: str) -> Figure:
    """What the threads of each kernel spend their time on."""
    figure, axes = one_panel(9, 0.45 * len(shares) + 1.5)
    for place, share in enumerate(reversed(list(shares.values()))):
        left = 0.0
        for each in Spent:
            width = share.get(each.value, 0.0)
            axes.barh(place, width, left=left, color=SPENT_COLOURS[each], height=0.7, label="" if place else each.value)
            left += width
    axes.set_yticks(range(len(shares)), list(shares)[::-1], fontsize=8)
    axes.set(xlim=(0, 1), xlabel="share of all threads' time")
    axes.set_title(title, fontsize=9, loc="left")
    return with_legend(figure, axes, "both", columns=5)


def timeline_figure(traces: Mapping[str, Sequence[EventRecord]], threads: int, title: str) -> Figure:
    """When each thread of each kernel is at work: a line a thread, in the order of cores."""
    figure = new_figure(9, 1.25 * len(traces) + 0.8)
    end = max((event.end for trace in traces.values() for event in trace), default=1) / TICKS
    for axes, (name, trace) in zip(figure.subplots(len(traces), 1, sharex=True), traces.items(), strict=True):
        places = [event.core * threads + event.thread for event in trace]
        begins = [event.start / TICKS for event in trace]
        lasts = [event.end / TICKS for event in trace]
        axes.hlines(places, begins, lasts, color=COLOURS[name], lw=0.5, rasterized=True)
        axes.set_ylabel(name, fontsize=7, rotation=0, ha="right", va="center")
        axes.set(yticks=[], xlim=(0, end))
    figure.axes[-1].set_xlabel("cycles", fontsize=8)
    figure.suptitle(title, fontsize=9, x=0.01, ha="left")
    return plain(figure, "both")


def load_figure(result: Result) -> Figure:
    """Share of each core's threads at work, instructions and bytes of memory a cycle, in equal parts of the run."""
    timeline = result.card.more["fabric"]["timeline"]
    working = np.array(timeline["working"])
    edges = np.arange(working.shape[1] + 1) * timeline["bin_cycles"] / 1e3
    middles = (edges[1:] + edges[:-1]) / 2
    figure = new_figure(7.2, 2.6 + 0.18 * len(working))
    heights = (max(1.0, 0.16 * len(working)), 1, 1)
    top, issued, moved = figure.subplots(3, 1, sharex=True, height_ratios=heights)
    shown = top.pcolormesh(edges, np.arange(len(working) + 1), 100 * working, cmap="cividis", vmin=0, vmax=100)
    figure.colorbar(shown, ax=top, label="threads\nat work (%)")
    top.set_yticks(np.arange(len(working)) + 0.5, [str(core) for core in range(len(working))])
    top.invert_yaxis()
    top.set_ylabel("core")
    for axes, name, said, colour in (
        (issued, "instructions_per_cycle", "instructions\na cycle", FULL),
        (moved, "bytes_per_cycle", "memory bytes\na cycle", MARK),
    ):
        axes.plot(middles, timeline[name], color=colour, lw=1.3)
        axes.set(ylim=(0, None), ylabel=said)
    moved.set_xlabel("cycles (thousand)")
    title(top, "load over time")
    plain(figure)
    top.grid(visible=False)
    return figure
