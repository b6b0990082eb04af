"""One step: speed-ups, where the time goes, how busy the machine is, roofs, and what hardware confirmed."""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from reports.figures.style import (
    FULL,
    LOSS,
    MARK,
    PHASES,
    SERIES,
    TEXT,
    cut,
    log_numbers,
    name_rows,
    new_figure,
    one_panel,
    plain,
    runs_of,
    stacked_bars,
    title,
    with_legend,
)
from reports.layers import Roofs, layer_table, op_table, roofline_points
from reports.loss_tables import cause_table
from simulator.card_parts import Json
from simulator.frames import phase_table
from simulator.result import Result

MOST_LAYERS = 24
PRODUCT_PHASES = ("FF", "BP", "WU")
GIGA = 1e9
DECADES = 1e4  # axes that span more are marked at powers of ten alone
STATUS = {"confirmed": "#009e73", "differs": MARK, "not confirmed": "#e69f00", "no tile": "#d5d5d5"}


def phases_figure(result: Result) -> Figure:
    """Time of each phase, dense and sparse, with the speed-up on it."""
    table = phase_table(result)
    clock_khz = result.card.clock_mhz * 1e3
    figure, axes = one_panel(6.4, 3.4)
    places = range(len(table))
    top = float(table["dense_cycles"].max()) / clock_khz
    beside = len(runs_of(result)) > 1
    if beside:
        left = [place - 0.2 for place in places]
        axes.bar(left, table["dense_cycles"] / clock_khz, 0.38, color=LOSS, label="best dense")
    right = [place + 0.2 * beside for place in places]
    axes.bar(right, table["cycles"] / clock_khz, 0.38, color=FULL, label="this run")
    for place, (_, row) in zip(places, table.iterrows(), strict=True):
        height = max(row["cycles"], row["dense_cycles"]) / clock_khz
        said = f"{row['speedup']:.2f}x" if beside else f"{height:,.4g}"
        axes.text(place, height + top * 0.02, said, ha="center", fontsize=9, color=TEXT)
    axes.set_xticks(list(places), list(table.index))
    axes.set(ylabel="time (ms)", ylim=(0, top * 1.12 or 1))
    more = ", and speed-up over the best dense schedule of the same machine" if beside else ""
    title(axes, f"time by phase{more}")
    return with_legend(figure, axes)


def layers_figure(result: Result) -> Figure:
    """Speed-up of every layer's products in FF, BP and WU; of many layers those that take longest."""
    table = layer_table(result).reset_index()
    table = table[table["kind"] == "product"]
    spent = table.groupby("layer", sort=False)["dense_cycles"].sum()
    kept = set(spent.sort_values(ascending=False, kind="stable").index[:MOST_LAYERS])
    layers = [layer for layer in spent.index if layer in kept]
    figure, axes = one_panel(7.2, 0.27 * len(layers) + 1.4)
    phases = [phase for phase in PRODUCT_PHASES if (table["phase"] == phase).any()]
    thick = 0.81 / max(1, len(phases))
    for number, phase in enumerate(phases):
        found = table[table["phase"] == phase].groupby("layer")["speedup"].mean().reindex(layers)
        places = [place + (number - (len(phases) - 1) / 2) * thick for place in range(len(layers))]
        axes.barh(places, found.fillna(0), height=0.93 * thick, color=PHASES[phase], label=phase)
    axes.axvline(1, color=MARK, lw=1)
    axes.set_yticks(range(len(layers)), [cut(layer) for layer in layers])
    axes.set(ylim=(len(layers) - 0.4, -0.6), xlabel="speed-up over the best dense schedule (x)")
    more = f"; {len(layers)} of {len(spent)} layers, those that take longest" if len(spent) > len(layers) else ""
    title(axes, f"speed-up by layer and phase{more}")
    return with_legend(figure, axes, "x")


def causes_figure(result: Result) -> Figure:
    """What each phase's time was spent on, dense above sparse."""
    tables = {name: cause_table(each) for name, each in runs_of(result).items()}
    causes = list(dict.fromkeys(cause for table in tables.values() for cause in table.columns))
    rows = [(phase, name) for phase in tables["this run"].index for name in tables if phase in tables[name].index]
    clock_khz = result.card.clock_mhz * 1e3
    figure, axes = one_panel(7.2, 0.36 * len(rows) + 1.7)
    widths = (
        [float(tables[name].loc[phase, cause]) / clock_khz if cause in tables[name] else 0.0 for phase, name in rows]
        for cause in causes
    )
    stacked_bars(axes, zip(causes, SERIES * 2, widths, strict=False), 0.72)
    name_rows(axes, [f"{phase}, {name}" for phase, name in rows])
    axes.set_xlabel("time (ms)")
    title(axes, "what the time of each phase is spent on")
    return with_legend(figure, axes, "x", columns=3)


def utilisation_figure(result: Result) -> Figure:
    """Share of the PEs that multiply, and of the DRAM's peak that moves, from the start of the step to its end."""
    table = op_table(result)
    table = table[table["cycles"] > 0]
    clock_khz = result.card.clock_mhz * 1e3
    starts, ends = table["start_cycle"] / clock_khz, (table["start_cycle"] + table["cycles"]) / clock_khz
    peak = result.card.peaks.get("dram_bytes_per_cycle")
    figure = new_figure(7.2, 3.9 if peak else 2.4)
    panels = list(figure.subplots(2 if peak else 1, 1, sharex=True, squeeze=False)[:, 0])
    shares = [100 * table["utilisation"].fillna(0)] + (
        [100 * table["dram_bytes"] / table["cycles"] / peak] if peak else []
    )
    colours = [PHASES.get(str(phase), TEXT) for phase in table["phase"]]
    for axes, share, said in zip(panels, shares, ("PEs multiplying\n(%)", "of DRAM's peak\n(%)"), strict=False):
        axes.bar(starts, share, width=ends - starts, align="edge", color=colours, linewidth=0)
        axes.set(ylim=(0, 105), ylabel=said)
    panels[-1].set_xlabel("time in the step (ms)")
    title(panels[0], "utilisation over time, op by op (vector work multiplies nothing)")
    seen = [phase for phase in PHASES if (table["phase"] == phase).any()]
    handles = [Patch(color=PHASES[phase], label=phase) for phase in seen]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return plain(figure)


def roofline_figure(result: Result, limits: Roofs) -> Figure:
    """Useful multiply-accumulates a second over useful ones a byte of DRAM; filled marks are sparse products."""
    points = roofline_points(result)
    figure, axes = one_panel(6.4, 4.4)
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
    axes.set(xscale="log", yscale="log")
    for axis in (axes.xaxis, axes.yaxis):
        low, high = axis.get_view_interval()
        log_numbers(axis, "{x:g}", (1, 2, 5) if high < DECADES * low else (1,), most=12)
    axes.set(
        xlabel="useful multiply-accumulates a byte of DRAM",
        ylabel="useful multiply-accumulates\n(billion a second)",
    )
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


def hardware_figure(hil: Json) -> Figure:
    """A bar a phase, a part a class in the order of the step, as long as its modelled array cycles.

    `hil` is that part of a result's card.
    """
    classes = hil["classes"]
    phases = list(dict.fromkeys(each["phase"] for each in classes))
    figure, axes = one_panel(7.2, 0.42 * len(phases) + 1.5)
    for place, phase in enumerate(phases):
        left = 0.0
        for each in classes:
            if each["phase"] == phase:
                width, colour = each["array_cycles"] / 1e6, STATUS[each["status"]]
                axes.barh(place, width, left=left, height=0.7, color=colour, edgecolor="white", linewidth=0.4)
                left += width
        share = hil["confirmed_share_of_array_cycles"][phase]
        axes.text(left, place, f" {share:.0%}", va="center", fontsize=8, color=TEXT)
    for status, colour in STATUS.items():
        if any(each["status"] == status for each in classes):
            axes.barh(0, 0, color=colour, label=status)
    name_rows(axes, phases)
    axes.margins(x=0.08)
    axes.set(xlim=(0, None), xlabel="array cycles of the machine (million)")
    what = "products" if hil["hardware"] == "core" else "tiles"
    title(axes, f"array time by class, and what {what} on hardware said of it (number: confirmed)")
    return with_legend(figure, axes, "x")
