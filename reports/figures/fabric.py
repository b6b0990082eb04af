"""A product on a fabric over time: how busy each core's threads are, what is issued and what memory moves."""

import numpy as np
from matplotlib.figure import Figure

from reports.figures.style import FULL, MARK, new_figure, plain, title
from simulator.result import Result


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
        axes.set_ylim(bottom=0)
        axes.set_ylabel(said)
    moved.set_xlabel("cycles (thousand)")
    title(top, "load over time")
    plain(figure)
    top.grid(visible=False)
    return figure
