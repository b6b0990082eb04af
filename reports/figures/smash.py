"""Figures of the study of SMASH."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from reports.figures.style import new_figure, plain
from simulator.fabric.outcome import EventRecord, Spent
from simulator.fabric.rates import TICKS

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
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=8)
    return plain(figure, "both")


def time_figure(shares: Mapping[str, Mapping[str, float]], title: str) -> Figure:
    """What the threads of each kernel spend their time on."""
    figure = new_figure(9, 0.45 * len(shares) + 1.5)
    axes = figure.subplots()
    for place, share in enumerate(reversed(list(shares.values()))):
        left = 0.0
        for each in Spent:
            width = share.get(each.value, 0.0)
            axes.barh(place, width, left=left, color=SPENT_COLOURS[each], height=0.7, label="" if place else each.value)
            left += width
    axes.set_yticks(range(len(shares)), list(shares)[::-1], fontsize=8)
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of all threads' time", fontsize=8)
    axes.set_title(title, fontsize=9, loc="left")
    figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    return plain(figure, "both")


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
        axes.set_yticks([])
        axes.set_xlim(0, end)
    figure.axes[-1].set_xlabel("cycles", fontsize=8)
    figure.suptitle(title, fontsize=9, x=0.01, ha="left")
    return plain(figure, "both")
