"""Several results side by side: machines, models, patterns."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.energy import energy_ratio, energy_total, has_energy
from reports.figures.style import (
    FULL,
    LOSS,
    MARK,
    PHASES,
    TEXT,
    name_rows,
    new_figure,
    one_panel,
    short,
    stacked_bars,
    title,
    with_legend,
)
from simulator.phases import ORDER, arithmetic_ceiling
from simulator.result import Result


def compared_figure(results: Sequence[Result], labels: Sequence[str]) -> Figure:
    """Time and energy of every result, with its best dense schedule, on axes of their own."""
    energy = all(has_energy(result) for result in results)
    figure = new_figure(9 if energy else 5.5, 0.55 * len(results) + 1.5)
    panels = list(figure.subplots(1, 2 if energy else 1, sharey=True, squeeze=False)[0])
    pairs = [(result.baseline, result) for result in results]
    times = [[each.seconds * 1e3 for each in pair] for pair in pairs]
    _pairs(panels[0], times, [""] * len(results), "time (ms)", "time")
    if energy:
        joules = [[energy_total(each).joules for each in pair] for pair in pairs]
        spans = [f", {less.low:.2f} to {less.high:.2f}" if (less := energy_ratio(each)) else "" for each in results]
        _pairs(panels[1], joules, spans, "energy (J); line: range of the energy tables", "energy")
        for place, result in enumerate(results):
            total = energy_total(result)
            panels[1].plot([total.low, total.high], [place + 0.2] * 2, color=TEXT, lw=1, marker="|", ms=6)
    name_rows(panels[0], labels)
    return with_legend(figure, panels[0], "x")


def _pairs(axes: Axes, values: Sequence[Sequence[float]], spans: Sequence[str], unit: str, what: str) -> None:
    for number, (colour, name) in enumerate(((LOSS, "its best dense schedule"), (FULL, "this result"))):
        places = [place + (number - 0.5) * 0.4 for place in range(len(values))]
        axes.barh(places, [pair[number] for pair in values], height=0.38, color=colour, label=name)
    for place, ((dense, mine), span) in enumerate(zip(values, spans, strict=True)):
        said = f"  {short(mine)}" + (f" ({dense / mine:.2f}x{span})" if mine else "")
        axes.text(max(dense, mine), place, said, va="center", fontsize=7, color=TEXT)
    axes.margins(x=0.3)
    axes.set_xlabel(unit)
    title(axes, f"{what}, and how many times less than dense")


def phases_compared_figure(results: Sequence[Result], labels: Sequence[str]) -> Figure:
    """Time by phase, stacked, one bar a result."""
    figure, axes = one_panel(7.2, 0.45 * len(results) + 1.5)
    stacked_phases(axes, results)
    name_rows(axes, labels)
    axes.set_xlabel("time (ms)")
    title(axes, "time by phase")
    return with_legend(figure, axes, "x")


def stacked_phases(axes: Axes, results: Sequence[Result]) -> list[float]:
    """A bar a result, of its phases one behind the other, in milliseconds; how long each takes in all."""
    shown = [phase for phase in ORDER if any((result.ops["phase"] == phase).any() for result in results)]
    widths = ([_milliseconds(result, phase) for result in results] for phase in shown)
    return stacked_bars(axes, zip(shown, [PHASES[phase] for phase in shown], widths, strict=True), 0.6)


def _milliseconds(result: Result, phase: str) -> float:
    cycles = int(result.ops.loc[result.ops["phase"] == phase, "cycles"].sum())
    return cycles / (result.card.clock_mhz * 1e3)


def models_figure(results: Sequence[Result], labels: Sequence[str]) -> Figure:
    """Speed-up of every result over its dense schedule, under the ceiling of its multiply-accumulates."""
    figure, axes = one_panel(max(5.0, 0.9 * len(results) + 1.5), 3.6)
    places = range(len(results))
    ceilings = [arithmetic_ceiling(result) for result in results]
    speedups = [result.over_baseline for result in results]
    axes.bar(places, ceilings, 0.7, color=LOSS, label="ceiling: multiply-accumulates alone")
    axes.bar(places, speedups, 0.7, color=FULL, label="speed-up of the step")
    for place, value in zip(places, speedups, strict=True):
        axes.text(place, value / 2, f"{value:.2f}x", ha="center", va="center", color="white", fontsize=8)
    axes.axhline(1, color=MARK, lw=1)
    axes.set_xticks(list(places), [label.replace(" ", "\n") for label in labels])
    axes.set_ylabel("speed-up over dense (x)")
    title(axes, "speed-up by model")
    return with_legend(figure, axes)
