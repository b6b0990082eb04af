"""SAT: ceilings of the models, what their speed-ups hang on, and what each optimisation is worth."""

import pandas as pd
from matplotlib.figure import Figure

from reports.figures.style import FULL, LOSS, MARK, TEXT, legend, new_figure, plain, title

VISIBLE = 0.005  # spreads below this cannot be seen


def ceilings_figure(table: pd.DataFrame) -> Figure:
    """Speed-up of each model (bar), its arithmetic ceiling (line), and what separates the two."""
    figure = new_figure(8, 4.2)
    axes = figure.subplots()
    places = range(len(table))
    axes.bar(places, table["ceiling"], color=LOSS, width=0.7, label="ceiling: multiply-accumulates alone (derived)")
    axes.bar(places, table["with vector work"], color="#93b5cc", width=0.7, label="with update and vector work")
    axes.bar(places, table["with fill"], color="#5d8fb5", width=0.7, label="with edges, fill and drain")
    axes.bar(places, table["speed-up"], color=FULL, width=0.7, label="with stalls: the step")
    for place, value in zip(places, table["speed-up"], strict=True):
        axes.text(place, value / 2, f"{value:.2f}x", ha="center", va="center", color="white")
    axes.set_xticks(list(places), [f"{model}\nbatch {batch:.0f}" for model, batch in table["batch"].items()])
    axes.set_ylabel("speed-up over the best dense schedule")
    axes.set_ylim(0, float(table["ceiling"].max()) * 1.25)
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    return plain(figure)


def sensitivity_figure(table: pd.DataFrame, model: str, speedup: float, most: int = 12) -> Figure:
    """How far each assumption moves a model's speed-up through its range, the widest on top."""
    shown = table[table["spread"] >= VISIBLE].head(most).iloc[::-1]
    figure = new_figure(8, 0.42 * len(shown) + 1.2)
    axes = figure.subplots()
    for place, (_, row) in enumerate(shown.iterrows()):
        low, high = float(row["speedup_low"]), float(row["speedup_high"])
        axes.plot([min(low, high, speedup), max(low, high, speedup)], [place, place], color=LOSS, lw=9, zorder=1)
        for value, text, marker in ((low, row["low"], "<"), (high, row["high"], ">")):
            axes.plot(value, place, marker=marker, color=FULL, zorder=2)
            side = 1 if value >= speedup else -1
            axes.annotate(
                str(text),
                (value, place),
                (side * 8, 0 if abs(low - high) > 0.02 or marker == ">" else 7),
                textcoords="offset points",
                ha="left" if side > 0 else "right",
                va="center",
                fontsize=7,
            )
    axes.axvline(speedup, color=MARK, lw=1, zorder=0)
    axes.set_yticks(range(len(shown)), [str(name).replace(" and ", "\n") for name in shown.index], fontsize=7)
    span = max(0.1, float(table["spread"].max()))
    axes.set_xlim(speedup - 1.1 * span, speedup + 1.1 * span)
    axes.set_xlabel(f"speed-up of {model} over its best dense schedule", fontsize=9)
    axes.set_title("one assumption at a time, low (<) to high (>); line: all as described", fontsize=9, loc="left")
    return plain(figure, "x")


def waterfall_figure(table: pd.DataFrame, model: str) -> Figure:
    """What each optimisation takes off a step's time when it is added to those before it, dense and sparse.

    Rows of `table` are schedules, from none on; columns dense_cycles and sparse_cycles.
    """
    figure = new_figure(8, 4.2)
    axes = figure.subplots()
    for number, (column, colour, name) in enumerate(
        (("dense_cycles", LOSS, "best dense"), ("sparse_cycles", FULL, "sparse"))
    ):
        values = table[column] / 1e6
        places = [place + (number - 0.5) * 0.4 for place in range(len(table))]
        before = values.shift(fill_value=values.iloc[0])
        axes.bar(places, values, 0.38, color=colour, label=name)
        axes.bar(places, before - values, 0.38, bottom=values, color="none", edgecolor=MARK, hatch="////", lw=0.6)
        for place, value, was in zip(places, values, before, strict=True):
            saved = f"\n-{1 - value / was:.1%}" if value < 0.9995 * was else ""
            axes.text(place, max(value, was), f"{value:,.0f}{saved}", ha="center", va="bottom", fontsize=7, color=TEXT)
    axes.bar([0], [0], color="none", edgecolor=MARK, hatch="////", lw=0.6, label="saved by this step")
    axes.set_xticks(range(len(table)), list(table.index))
    axes.set_ylabel("cycles of the step (million)")
    axes.set_ylim(0, 1.15 * float(table["dense_cycles"].max()) / 1e6)
    title(axes, f"{model}: optimisations added one after the other")
    legend(figure, axes)
    return plain(figure)
