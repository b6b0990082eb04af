"""What all figures have in common: colours that colour-blind readers can tell apart, fonts, and files that repeat."""

import io
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from simulator.result import Result

LONGEST = 60  # letters of a name
TEXT, GRID = "#222222", "#dddddd"
FULL, LOSS, MARK = "#2f6f9f", "#c9d8e3", "#b5482f"
PHASES = {"FF": "#0072b2", "BP": "#e69f00", "WU": "#009e73", "UP": "#8c564b"}
SERIES = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c8c8c", "#f0e442", "#8c564b", "#bcbd22"]
SERIES += ["#332288", "#117733", "#882255", "#44aa99"]


def runs_of(result: Result) -> dict[str, Result]:
    """What a figure draws side by side: a product of matrices, or a dense step, has nothing dense beside it."""
    alone = result.dense is None or result.card.is_dense
    return {"this run": result} if alone else {"dense": result.baseline, "this run": result}


def new_figure(width: float, height: float) -> Figure:
    """A figure in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def one_panel(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure in inches, and the only axes on it."""
    figure = new_figure(width, height)
    return figure, figure.subplots()


def name_rows(axes: Axes, labels: Sequence[str]) -> None:
    """A label a row of bars, from the top down."""
    axes.set_yticks(range(len(labels)), [cut(label) for label in labels])
    axes.invert_yaxis()


def cut(name: str) -> str:
    """A name in one line beside a bar: of a long one its ends."""
    line = " ".join(name.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]}...{line[-LONGEST // 2 :]}"


def stacked_bars(axes: Axes, parts: Iterable[tuple[str, str, Sequence[float]]], height: float) -> list[float]:
    """A bar a row, made of parts (label, colour, and a width a row) one behind the other; where the bars end."""
    ends: list[float] = []
    for label, colour, widths in parts:
        ends = ends or [0.0] * len(widths)
        axes.barh(range(len(widths)), widths, left=ends, height=height, color=colour, label=label)
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    return ends


def log_numbers(axis: Axis, form: str, subs: Sequence[float] = (1, 2, 5), most: int | None = None) -> None:
    """1, 2, 5, 10 on a logarithmic axis, written in a form such as "{x:g}", instead of powers of ten."""
    axis.set_major_locator(LogLocator(subs=subs, numticks=most))
    axis.set_major_formatter(form)
    axis.set_minor_formatter(NullFormatter())


def plain(figure: Figure, grid: str = "y") -> Figure:
    """Frames, ticks and grid lines as all figures have them; `grid` is an axis, "both" or "". No name is a formula."""
    made = {each for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)
            if not isinstance(axis.get_major_formatter(), FuncFormatter) for each in axis.findobj(Text)}  # fmt: skip
    for text in {*figure.findobj(Text)} - made:
        text.set_parse_math(False)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(TEXT)
        axes.tick_params(colors=TEXT, labelsize=8)
        axes.set_axisbelow(True)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set_color(TEXT)
            label.set_fontsize(9)
        if grid:
            axes.grid(axis=grid, color=GRID, lw=0.6)  # type: ignore[arg-type]
    return figure


def title(axes: Axes, text: str) -> None:
    """What a figure shows, above it on the left."""
    axes.set_title(text, fontsize=9, loc="left", color=TEXT)


def with_legend(figure: Figure, axes: Axes, grid: str = "y", columns: int = 4) -> Figure:
    """A plain figure with a legend of these axes below all, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)
    return plain(figure, grid)


def short(value: float) -> str:
    """A number beside its bar: large ones whole, others in three digits."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def picture_files(figure: Figure, name: str) -> dict[str, bytes]:
    """The figure as NAME.svg and NAME.png, the same bytes for the same figure."""
    return {f"{name}.svg": svg(figure).encode(), f"{name}.png": _drawn(figure, "png", dpi=150)}


def svg(figure: Figure) -> str:
    """The figure as SVG text without a date, the same for the same figure."""
    with matplotlib.rc_context({"svg.hashsalt": "sparsehil", "svg.fonttype": "path"}):
        return _drawn(figure, "svg", metadata={"Date": None, "Creator": None}).decode()


def _drawn(figure: Figure, form: str, dpi: float = 100, metadata: Mapping[str, None] | None = None) -> bytes:
    sink = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a letter that the font has not is a box
        figure.savefig(sink, format=form, dpi=dpi, metadata=metadata)
    return sink.getvalue()


def inline_svg(figure: Figure, name: str) -> str:
    """The figure for a page: no prologue, ids that no other figure has, ink in the colour of the page's own text."""
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    text = svg(figure)
    text = text[text.index("<svg") :]
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    return text.replace(TEXT, "currentColor").replace(GRID, "var(--grid)").replace("<svg ", '<svg role="img" ', 1)
