"""What studies and checks give out: tables on a terminal, and tables and pictures in a folder."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pandas as pd
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from reports import figures
from workloads.errors import UserError
from workloads.registry import needs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Item = TypeVar("Item")


def wide_console() -> Console:
    """A console that never cuts a table short where nobody looks at a terminal."""
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(highlight=False, soft_wrap=True, width=200)


def text_table(names: Iterable[str], left: Collection[str], rows: Iterable[Iterable[str]] = ()) -> Table:
    """A table of rows whose columns stand to the right, but for those named in `left`."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, justify="left" if name in left else "right")
    for row in rows:
        table.add_row(*row)
    return table


def frame_table(frame: pd.DataFrame) -> Table:
    """A frame with its index; numbers as they are read best."""
    index = str(frame.index.name)
    names = [index, *(str(column).replace("_", " ") for column in frame.columns)]
    return text_table(names, [index], ([str(name), *map(_cell, row)] for name, row in frame.iterrows()))


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


@contextmanager
def written_to(folder: Path, option: str = "--out ") -> Iterator[None]:
    """For writing files into a folder, which is made. Raises UserError, after `option`, where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UserError(f"{option}{folder}: cannot be written: {error.strerror or error}") from None


def write_tables(folder: Path, tables: Mapping[str, pd.DataFrame], digits: int, index: bool = False) -> None:
    """Write NAME.csv for every table, rounded. Raises UserError where that cannot be."""
    with written_to(folder):
        for name, table in tables.items():
            table.round(digits).to_csv(folder / f"{name}.csv", index=index)


def save_pictures(out: Path, drawn: "Callable[[], Mapping[str, Figure]]") -> bool:
    """Draw, and save each picture as NAME.png and NAME.svg; whether that could be done.

    Without matplotlib a note on standard error says why there are none. Raises UserError where they cannot be written.
    """
    try:
        for name, figure in drawn().items():
            figures.save_figure(figure, out / name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        typer.echo(f"no picture: it {needs(error)}", err=True)
        return False
    return True


def tracked(items: Sequence[Item], what: str) -> Iterable[Item]:
    """The items one after the other, with a bar on standard error where that is a terminal."""
    console = Console(stderr=True)
    return track(items, description=what, transient=True, console=console, disable=not console.is_terminal)
