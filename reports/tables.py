"""Frames as tables on a terminal, and tables as CSV in a folder."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pandas as pd
from rich.console import Console
from rich.progress import track
from rich.table import Table

from workloads.errors import UserError

Item = TypeVar("Item")


def text_table(names: Iterable[str], left: Collection[str]) -> Table:
    """An empty table whose columns stand to the right, but for those named in `left`."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, justify="left" if name in left else "right")
    return table


def frame_table(frame: pd.DataFrame) -> Table:
    """A frame with its index; numbers as they are read best."""
    index = str(frame.index.name)
    table = text_table([index, *(str(column).replace("_", " ") for column in frame.columns)], [index])
    for name, row in frame.iterrows():
        table.add_row(str(name), *(_cell(value) for value in row))
    return table


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


@contextmanager
def written_to(folder: Path) -> Iterator[None]:
    """For writing files into a folder, which is made. Raises UserError where they cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be written: {error.strerror or error}") from None


def write_tables(folder: Path, tables: Mapping[str, pd.DataFrame], digits: int, index: bool = False) -> None:
    """Write NAME.csv for every table, rounded. Raises UserError where that cannot be."""
    with written_to(folder):
        for name, table in tables.items():
            table.round(digits).to_csv(folder / f"{name}.csv", index=index)


def tracked(items: Sequence[Item], what: str, stderr: bool = True) -> Iterable[Item]:
    """The items one after the other, with a bar on a terminal."""
    return track(items, description=what, transient=True, console=Console(stderr=stderr))
