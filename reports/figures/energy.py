"""Energy of a step: by component and phase, by tensor, and which entries its error bar comes from."""

import pandas as pd
from matplotlib.figure import Figure

from reports.energy import energy_card, energy_ratio, energy_total
from reports.energy_tables import energy_by, entry_table
from reports.figures.style import (
    FULL,
    LOSS,
    MARK,
    SERIES,
    TEXT,
    name_rows,
    one_panel,
    plain,
    runs_of,
    short,
    stacked_bars,
    title,
    with_legend,
)
from simulator.phases import phases_in
from simulator.result import Result

SMALL = 0.005  # components below this share are drawn together
MOST_ENTRIES = 10


def energy_figure(result: Result) -> Figure:
    """Energy by component, phase by phase, dense above sparse; the line is what the entries' ranges leave open."""
    runs = runs_of(result)
    tables = {name: _components(each) for name, each in runs.items()}
    parts = list(dict.fromkeys(part for table in tables.values() for part in table.columns))
    parts = [part for part in parts if part != "the rest"] + (["the rest"] if "the rest" in parts else [])
    rows = [(phase, name) for phase in phases_in(result) for name in tables if phase in tables[name].index]
    ends = {name: energy_by(each, ["phase"]) for name, each in runs.items()}
    figure, axes = one_panel(7.2, 0.36 * len(rows) + 1.7)
    nothing = pd.Series(0.0, index=phases_in(result))
    widths = ([tables[name].get(part, nothing).to_dict()[phase] / 1e3 for phase, name in rows] for part in parts)
    stacked_bars(axes, zip(parts, SERIES * 2, widths, strict=False), 0.72)
    for place, (phase, name) in enumerate(rows):
        low, high = (ends[name][end].to_dict()[phase] / 1e3 for end in ("low_mj", "high_mj"))
        axes.plot([low, high], [place, place], color=TEXT, lw=1, marker="|", ms=6)
    name_rows(axes, [f"{phase}, {name}" for phase, name in rows])
    axes.set(xlim=(0, None), xlabel="energy (J); line: all entries at the low and at the high end of their ranges")
    less = f"\n{said}" if (said := energy_ratio(result)) else ""
    title(axes, f"energy by phase and component, table '{energy_card(result).table}'{less}")
    return with_legend(figure, axes, "x", columns=3)


def _components(result: Result) -> pd.DataFrame:
    """Millijoules, rows phases and columns components, the small ones together."""
    table = energy_by(result, ["phase", "component"])["mj"].unstack(fill_value=0)
    shares = table.sum() / table.sum().sum()
    small = shares.index[shares < SMALL]
    order = shares.drop(small).sort_values(ascending=False, kind="stable").index
    return table[order].assign(**{"the rest": table[small].sum(axis=1)}) if len(small) else table[order]


def tensors_figure(result: Result) -> Figure:
    """Energy spent for each tensor's sake, dense and sparse; static power belongs to none."""
    tables = [energy_by(each, ["tensor"])["mj"] / 1e3 for each in runs_of(result).values()]
    tensors = list(dict.fromkeys(tensor for table in tables for tensor in table.index))
    names = (("best dense", LOSS), ("this run", FULL))[-len(tables) :]
    figure, axes = one_panel(7.2, 0.4 * len(tensors) + 1.5)
    for number, (table, (name, colour)) in enumerate(zip(tables, names, strict=True)):
        places = [place + (number - (len(tables) - 1) / 2) * 0.38 for place in range(len(tensors))]
        values = table.reindex(tensors).fillna(0.0)
        axes.barh(places, values, height=0.36, color=colour, label=name)
        for place, value in zip(places, values, strict=True):
            axes.text(value, place, f" {short(value)}", va="center", fontsize=7, color=TEXT)
    name_rows(axes, tensors)
    axes.margins(x=0.1)
    axes.set_xlabel("energy (J)")
    title(axes, "energy by tensor")
    return with_legend(figure, axes, "x")


def entries_figure(result: Result) -> Figure:
    """How far each entry of the energy table moves the step's energy through its range, alone."""
    table = entry_table(result).head(MOST_ENTRIES).iloc[::-1]
    total = energy_total(result).joules
    ends = energy_by(result, ["entry"]).reindex(table.index)
    low = total - (table["mj"] - ends["low_mj"]) / 1e3
    high = total + (ends["high_mj"] - table["mj"]) / 1e3
    figure, axes = one_panel(7.2, 0.36 * len(table) + 1.3)
    axes.barh(range(len(table)), high - low, left=low, height=0.6, color=LOSS)
    axes.axvline(total, color=MARK, lw=1)
    labels = [f"{name} ({row['value']:.3g} {row['unit']}, {row['provenance']})" for name, row in table.iterrows()]
    axes.set_yticks(range(len(table)), labels)
    for place, (_, row) in enumerate(table.iterrows()):
        for value, text, side in ((low.iloc[place], row["low"], "right"), (high.iloc[place], row["high"], "left")):
            gap = " " if side == "left" else ""
            axes.text(
                value, place, f"{gap}{text:.3g}{'' if gap else ' '}", va="center", ha=side, fontsize=7, color=TEXT
            )
    room = 0.12 * float(high.max() - low.min()) or total or 1.0
    axes.set(
        xlim=(float(low.min()) - room, float(high.max()) + room),
        xlabel=f"energy of the step (J); line: {total:.3g} J with all entries as they are",
    )
    title(axes, "the entries its energy hangs on, one at a time through its range")
    return plain(figure, "x")
