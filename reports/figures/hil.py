"""How much of a step's array time is of the kind that hardware confirmed."""

from matplotlib.figure import Figure

from reports.figures.style import MARK, TEXT, legend, new_figure, plain, title
from simulator.card import Json

STATUS = {"confirmed": "#009e73", "differs": MARK, "not confirmed": "#e69f00", "no tile": "#d5d5d5"}


def hardware_figure(hil: Json) -> Figure:
    """A bar a phase, a part a class in the order of the step, as long as its modelled array cycles.

    `hil` is that part of a result's card.
    """
    classes = hil["classes"]
    phases = list(dict.fromkeys(each["phase"] for each in classes))
    figure = new_figure(7.2, 0.42 * len(phases) + 1.5)
    axes = figure.subplots()
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
    axes.set_yticks(range(len(phases)), phases)
    axes.invert_yaxis()
    axes.margins(x=0.08)
    axes.set_xlim(left=0)
    axes.set_xlabel("array cycles of the machine (million)")
    title(axes, "array time by class, and what tiles on hardware said of it (number: confirmed)")
    legend(figure, axes)
    return plain(figure, "x")
