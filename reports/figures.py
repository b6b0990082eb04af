"""Figures, one function each, one style. They need the extra `report`."""

from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from workloads.errors import UserError

VISIBLE = 0.005  # spreads below this cannot be seen
TEXT, GRID, FULL, LOSS, MARK = "#222222", "#dddddd", "#2f6f9f", "#c9d8e3", "#b5482f"


def ceilings_figure(table: pd.DataFrame) -> Figure:
    """Speed-up of each model (bar), its arithmetic ceiling (line), and what separates the two."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
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
    return _plain(figure)


def sensitivity_figure(table: pd.DataFrame, model: str, speedup: float, most: int = 12) -> Figure:
    """How far each assumption moves a model's speed-up through its range, the widest on top."""
    shown = table[table["spread"] >= VISIBLE].head(most).iloc[::-1]
    figure = Figure(figsize=(8, 0.42 * len(shown) + 1.2), layout="constrained")
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
    return _plain(figure)


def save_figure(figure: Figure, stem: Path) -> None:
    """Write PNG and SVG, the same bytes for the same figure. Raises UserError where they cannot be written."""
    try:
        with matplotlib.rc_context({"svg.hashsalt": "sparsehil"}):
            figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None})
        figure.savefig(stem.with_suffix(".png"), dpi=150)
    except OSError as error:
        raise UserError(f"--out {stem.parent}: cannot be written: {error.strerror or error}") from None


def _plain(figure: Figure) -> Figure:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=TEXT)
        axes.set_axisbelow(True)
        axes.grid(axis="y" if axes.containers else "x", color=GRID, lw=0.6)
    return figure
