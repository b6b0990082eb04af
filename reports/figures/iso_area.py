"""Dense, sparse and dense of equal area, side by side."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from reports.energy import energy_total, has_energy
from reports.figures.style import MARK, PHASES, TEXT, new_figure, plain, title
from simulator.frames import ORDER
from simulator.result import Result


def iso_area_figure(results: Sequence[Result], labels: Sequence[str]) -> Figure:
    """Time by phase and energy of every result; the first is what the others are compared with."""
    energy = all(has_energy(result) for result in results)
    figure = new_figure(9 if energy else 5.5, 0.5 * len(results) + 1.6)
    panels = list(figure.subplots(1, 2 if energy else 1, sharey=True, squeeze=False)[0])
    left = [0.0] * len(results)
    for phase in [each for each in ORDER if any((result.ops["phase"] == each).any() for result in results)]:
        widths = [_ms(result, phase) for result in results]
        panels[0].barh(range(len(results)), widths, left=left, height=0.6, color=PHASES[phase], label=phase)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for place, value in enumerate(left):
        panels[0].text(value, place, f" {left[0] / value:.2f}x", va="center", fontsize=8, color=TEXT)
    panels[0].set_xlabel("time (ms); how many times faster than the first")
    title(panels[0], "time by phase")
    if energy:
        totals = [energy_total(result) for result in results]
        panels[1].barh(range(len(results)), [each.joules for each in totals], height=0.6, color="#93b5cc")
        for place, each in enumerate(totals):
            panels[1].plot([each.low, each.high], [place, place], color=MARK, lw=1, marker="|", ms=6)
        panels[1].set_xlabel("energy (J); line: range of the energy table")
        title(panels[1], "energy")
    panels[0].set_yticks(range(len(results)), labels)
    panels[0].invert_yaxis()
    panels[0].margins(x=0.2)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return plain(figure, "x")


def _ms(result: Result, phase: str) -> float:
    cycles = int(result.ops.loc[result.ops["phase"] == phase, "cycles"].sum())
    return cycles / (result.card.clock_mhz * 1e3)
