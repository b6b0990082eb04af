"""One step: speed-ups by layer and phase, where the time goes, and how busy the machine is over time."""

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from reports.figures.style import FULL, LOSS, MARK, PHASES, SERIES, TEXT, legend, new_figure, plain, runs_of, title
from reports.layers import layer_table, op_table
from reports.losses import cause_table
from simulator.frames import phase_table
from simulator.result import Result

MOST_LAYERS = 24
PRODUCT_PHASES = ("FF", "BP", "WU")


def phases_figure(result: Result) -> Figure:
    """Time of each phase, dense and sparse, with the speed-up on it."""
    table = phase_table(result)
    clock_khz = result.card.clock_mhz * 1e3
    figure = new_figure(6.4, 3.4)
    axes = figure.subplots()
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
    axes.set_ylabel("time (ms)")
    axes.set_ylim(0, top * 1.12)
    more = ", and speed-up over the best dense schedule of the same machine" if beside else ""
    title(axes, f"time by phase{more}")
    legend(figure, axes)
    return plain(figure)


def layers_figure(result: Result) -> Figure:
    """Speed-up of every layer's products in FF, BP and WU; of many layers those that take longest."""
    table = layer_table(result).reset_index()
    table = table[table["kind"] == "product"]
    spent = table.groupby("layer", sort=False)["dense_cycles"].sum()
    kept = set(spent.sort_values(ascending=False, kind="stable").index[:MOST_LAYERS])
    layers = [layer for layer in spent.index if layer in kept]
    figure = new_figure(7.2, 0.27 * len(layers) + 1.4)
    axes = figure.subplots()
    phases = [phase for phase in PRODUCT_PHASES if (table["phase"] == phase).any()]
    thick = 0.81 / max(1, len(phases))
    for number, phase in enumerate(phases):
        found = table[table["phase"] == phase].groupby("layer")["speedup"].mean().reindex(layers)
        places = [place + (number - (len(phases) - 1) / 2) * thick for place in range(len(layers))]
        axes.barh(places, found.fillna(0), height=0.93 * thick, color=PHASES[phase], label=phase)
    axes.axvline(1, color=MARK, lw=1)
    axes.set_yticks(range(len(layers)), layers)
    axes.set_ylim(len(layers) - 0.4, -0.6)
    axes.set_xlabel("speed-up over the best dense schedule (x)")
    more = f"; {len(layers)} of {len(spent)} layers, those that take longest" if len(spent) > len(layers) else ""
    title(axes, f"speed-up by layer and phase{more}")
    legend(figure, axes)
    return plain(figure, "x")


def causes_figure(result: Result) -> Figure:
    """What each phase's time was spent on, dense above sparse."""
    tables = {name: cause_table(each) for name, each in runs_of(result).items()}
    causes = list(dict.fromkeys(cause for table in tables.values() for cause in table.columns))
    rows = [(phase, name) for phase in tables["this run"].index for name in tables if phase in tables[name].index]
    clock_khz = result.card.clock_mhz * 1e3
    figure = new_figure(7.2, 0.36 * len(rows) + 1.7)
    axes = figure.subplots()
    left = [0.0] * len(rows)
    for cause, colour in zip(causes, SERIES * 2, strict=False):
        widths = [
            float(tables[name].loc[phase, cause]) / clock_khz if cause in tables[name] else 0.0 for phase, name in rows
        ]
        axes.barh(range(len(rows)), widths, left=left, height=0.72, color=colour, label=cause)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.set_yticks(range(len(rows)), [f"{phase}, {name}" for phase, name in rows])
    axes.invert_yaxis()
    axes.set_xlabel("time (ms)")
    title(axes, "what the time of each phase is spent on")
    legend(figure, axes, 3)
    return plain(figure, "x")


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
        axes.set_ylim(0, 105)
        axes.set_ylabel(said)
    panels[-1].set_xlabel("time in the step (ms)")
    title(panels[0], "utilisation over time, op by op (vector work multiplies nothing)")
    seen = [phase for phase in PHASES if (table["phase"] == phase).any()]
    handles = [Patch(color=PHASES[phase], label=phase) for phase in seen]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return plain(figure)
