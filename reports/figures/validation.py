"""Pictures of `simulate validate`: ours over theirs, SAT's ceilings and assumptions, and the points of S4."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.figures.style import (
    FULL,
    LOSS,
    MARK,
    SERIES,
    TEXT,
    log_numbers,
    new_figure,
    one_panel,
    plain,
    title,
    with_legend,
)
from simulator.card_parts import Ends

STATUS = {"pass": "#009e73", "inside band": "#0072b2", "whole range": "#e69f00", "outside band": "#d55e00"}
DIFFERENCES = "points"  # rows in this unit are themselves differences: a ratio of them says nothing
VISIBLE = 0.005  # spreads below this cannot be seen
PRECISIONS = {"int8": FULL, "bf16": SERIES[1]}
FAINT = {"int8": LOSS, "bf16": "#f6dfae"}
SHIFT = {"int8": -0.16, "bf16": 0.16}


def checks_figure(table: pd.DataFrame) -> Figure:
    """Ours as a share of theirs, with how far either may reach, and below, ours less theirs for rows in points.

    Rows without a number on both sides are left out.
    """
    shown = table[table["status"] != "unknown"].iloc[::-1]
    parts = [part for part in (shown[shown["unit"] != DIFFERENCES], shown[shown["unit"] == DIFFERENCES]) if len(part)]
    figure = new_figure(10, 0.3 * len(shown) + 1.4 + 0.6 * (len(parts) - 1))
    panels = figure.subplots(len(parts), 1, squeeze=False, height_ratios=[len(part) + 1 for part in parts])[:, 0]
    for axes, part in zip(panels, parts, strict=True):
        _ours_over_theirs(axes, part)
    unknown = int((table["status"] == "unknown").sum())
    said = f"published or measured elsewhere, beside what our models say ({unknown} unknown rows are not drawn)"
    figure.suptitle(said, fontsize=10, x=0.01, ha="left", color=TEXT)
    handles = [Line2D([], [], ls="", marker="o", color=colour, label=name) for name, colour in STATUS.items()]
    handles.append(Line2D([], [], color="#c8c8c8", lw=9, label="how far theirs reaches"))
    handles.append(Line2D([], [], color=TEXT, lw=2, label="how far our assumptions, or seeds, move ours"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    return plain(figure, "x")


def _ours_over_theirs(axes: Axes, rows: pd.DataFrame) -> None:
    less = (rows["unit"] == DIFFERENCES).all()
    for place, row in enumerate(rows.to_dict("records")):
        theirs, colour = row["theirs"], STATUS[row["status"]]
        zero, unit = (theirs, 1.0) if less else (0.0, theirs)
        for side, shade, width in (("theirs", "#c8c8c8", 9), ("ours", colour, 2)):
            low, high = row[f"{side}_low"], row[f"{side}_high"]
            if not (pd.isna(low) or pd.isna(high)):
                ends = [(low - zero) / unit, (high - zero) / unit]
                axes.plot(ends, [place, place], color=shade, lw=width, zorder=1, solid_capstyle="butt")
        axes.plot((row["ours"] - zero) / unit, place, marker="o", ms=5, color=colour)
    axes.axvline(0 if less else 1, color=MARK, lw=1, zorder=0)
    axes.set_yticks(range(len(rows)), [f"{row.machine}: {row.what}" for row in rows.itertuples()])
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlabel("ours less theirs, in points (0 is the same)" if less else "ours over theirs (1 is the same)")


def ceilings_figure(table: pd.DataFrame) -> Figure:
    """Speed-up of each model (bar), its arithmetic ceiling (line), and what separates the two."""
    figure, axes = one_panel(8, 4.2)
    places = range(len(table))
    axes.bar(places, table["ceiling"], color=LOSS, width=0.7, label="ceiling: multiply-accumulates alone (derived)")
    axes.bar(places, table["with vector work"], color="#93b5cc", width=0.7, label="with update and vector work")
    axes.bar(places, table["with fill"], color="#5d8fb5", width=0.7, label="with edges, fill and drain")
    axes.bar(places, table["speed-up"], color=FULL, width=0.7, label="with stalls: the step")
    for place, value in zip(places, table["speed-up"], strict=True):
        axes.text(place, value / 2, f"{value:.2f}x", ha="center", va="center", color="white")
    axes.set_xticks(list(places), [f"{model}\nbatch {batch:.0f}" for model, batch in table["batch"].items()])
    axes.set(ylabel="speed-up over the best dense schedule", ylim=(0, float(table["ceiling"].max()) * 1.25))
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    return plain(figure)


def sensitivity_figure(table: pd.DataFrame, model: str, speedup: float, most: int = 12) -> Figure:
    """How far each assumption moves a model's speed-up through its range, the widest on top."""
    shown = table[table["spread"] >= VISIBLE].head(most).iloc[::-1]
    figure, axes = one_panel(8, 0.42 * len(shown) + 1.2)
    for place, (_, row) in enumerate(shown.iterrows()):
        _through_range(axes, place, speedup, (row["speedup_low"], row["speedup_high"]), (row["low"], row["high"]))
    axes.axvline(speedup, color=MARK, lw=1, zorder=0)
    axes.set_yticks(range(len(shown)), [str(name).replace(" and ", "\n") for name in shown.index], fontsize=7)
    span = max(0.1, float(table["spread"].max()))
    axes.set(
        xlim=(speedup - 1.1 * span, speedup + 1.1 * span),
        xlabel=f"speed-up of {model} over its best dense schedule",
    )
    axes.set_title("one assumption at a time, low (<) to high (>); line: all as described", fontsize=9, loc="left")
    return plain(figure, "x")


def _through_range(
    axes: Axes, place: int, standing: float, ratios: tuple[float, float], texts: tuple[object, object]
) -> None:
    """A bar from the lowest to the highest of a ratio, and its two ends with what was set there."""
    low, high = ratios
    axes.plot([min(low, high, standing), max(low, high, standing)], [place, place], color=LOSS, lw=9, zorder=1)
    ends = sorted(((low, str(texts[0]), "<"), (high, str(texts[1]), ">")))
    for (value, text, marker), side in zip(ends, (-1, 1), strict=True):
        axes.plot(value, place, marker=marker, color=FULL, zorder=2)
        where = "left" if side > 0 else "right"
        axes.annotate(
            text, (value, place), (side * 8, 0), textcoords="offset points", ha=where, va="center", fontsize=7
        )


def band_figure(panels: Sequence[tuple[str, Ends, pd.DataFrame]], work: str) -> Figure:
    """A panel a ratio: everything assumed at once, and below it the strongest numbers, each alone through its range.

    A panel: the ratio's name, its ends, and rows with value, low, high, ratio_low, ratio_high, rank, the strongest
    first. The end of a number at which the machine cannot run the step stands at the line.
    """
    most = max(len(rows) for _, _, rows in panels)
    figure = new_figure(7.5 * len(panels), 0.42 * (most + 1) + 1.4)
    for axes, (name, ends, rows) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        axes.plot([ends.low, ends.high], [0, 0], color=MARK, lw=9, alpha=0.5, solid_capstyle="butt")
        for value, side in ((ends.low, "right"), (ends.high, "left")):
            axes.text(value, 0, f"  {value:.2f}  ", ha=side, va="center", fontsize=8)
        for place, row in enumerate(rows.fillna(ends.value).to_dict("records"), 1):
            texts = (f"{row['low']:.4g}", f"{row['high']:.4g}")
            _through_range(axes, place, ends.value, (row["ratio_low"], row["ratio_high"]), texts)
        axes.axvline(ends.value, color=MARK, lw=1, zorder=0)
        labels = [f"{str(path).removeprefix('energy.tables.')} ({rank:+.2f})" for path, rank in rows["rank"].items()]
        axes.set_yticks(range(len(rows) + 1), ["everything at once", *labels], fontsize=7)
        axes.set_ylim(most + 0.7, -0.7)
        room = 0.12 * (ends.high - ends.low)
        axes.set(xlim=(ends.low - room, ends.high + room), xlabel=name)
    said = "one number at a time, low (<) to high (>), with its rank correlation; line: all as described"
    figure.suptitle(f"{work}: {said}", fontsize=9, x=0.01, ha="left", color=TEXT)
    return plain(figure, "x")


def waterfall_figure(table: pd.DataFrame, model: str) -> Figure:
    """What each optimisation takes off a step's time when it is added to those before it, dense and sparse.

    Rows of `table` are schedules, from none on; columns dense_cycles and sparse_cycles.
    """
    figure, axes = one_panel(8, 4.2)
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
    axes.set(ylabel="cycles of the step (million)", ylim=(0, 1.15 * float(table["dense_cycles"].max()) / 1e6))
    title(axes, f"{model}: optimisations added one after the other")
    return with_legend(figure, axes)


def explained_figure(targets: Mapping[str, float], bands: pd.DataFrame) -> Figure:
    """A panel a point and distribution of inputs; bars from the worst to the best ends, a dot for the file as it is."""
    panels = list(bands[["model", "inputs"]].drop_duplicates().itertuples(index=False))
    figure = new_figure(3.5 * len(panels), 3.9)
    for axes, (model, inputs) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        mine = bands[(bands["model"] == model) & (bands["inputs"] == inputs)]
        _reached(axes, mine, targets[model])
        title(axes, f"{model}{', ' if inputs else ''}{inputs}")
    figure.axes[0].set_ylabel("samples a second")
    handles = [Line2D([], [], color=MARK, label="published (ratio not stated)")]
    for precision, colour in PRECISIONS.items():
        handles.append(Line2D([], [], color=FAINT[precision], lw=8, label=f"{precision.upper()}, all ranges"))
        handles.append(Line2D([], [], color=colour, marker="o", ls="", label=f"{precision.upper()}, as it stands"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    return plain(figure, "y")


def _reached(axes: Axes, mine: pd.DataFrame, published: float) -> None:
    ratios = sorted(mine["ratio"].unique())
    for row in mine.to_dict("records"):
        place, precision = ratios.index(row["ratio"]) + SHIFT[row["precision"]], row["precision"]
        axes.plot([place, place], [row["lowest"], row["highest"]], color=FAINT[precision], lw=9, solid_capstyle="butt")
        axes.plot(place, row["standing"], marker="o", ms=4, color=PRECISIONS[precision])
    axes.axhline(published, color=MARK, lw=1.2)
    axes.set_yscale("log")
    log_numbers(axes.yaxis, "{x:,.0f}")
    axes.set_xticks(range(len(ratios)), [f"{ratio}x" for ratio in ratios])
    axes.set_xlabel("ratio of bank sparsity")
