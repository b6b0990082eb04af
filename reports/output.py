"""What studies and checks give out: tables on a terminal, and tables and pictures in a folder."""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich.progress import track
from rich.table import Table

from reports import figures
from workloads.console import PlainConsole, console
from workloads.errors import UserError
from workloads.files.writing import new_file, not_written
from workloads.registry import needs
from workloads.terminal import note

if TYPE_CHECKING:
    import pandas as pd  # what it has made comes in; a step is shown without it
    from matplotlib.figure import Figure

Item = TypeVar("Item")


def wide_console() -> PlainConsole:
    """A console that never cuts a table short where nobody looks at a terminal."""
    return console(width=200)


def text_table(names: Iterable[str], left: Collection[str], rows: Iterable[Iterable[str]] = ()) -> Table:
    """A table of rows whose columns stand to the right, but for those named in `left`."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, justify="left" if name in left else "right")
    for row in rows:
        table.add_row(*row)
    return table


def frame_table(frame: "pd.DataFrame") -> Table:
    """A frame with its index; numbers as they are read best."""
    index = str(frame.index.name)
    names = [index, *(str(column).replace("_", " ") for column in frame.columns)]
    return text_table(names, [index], ([str(name), *map(_cell, row)] for name, row in frame.iterrows()))


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def write_files(files: Mapping[Path, bytes], option: str = "--out ") -> None:
    """Write files, each of which appears whole, or none of them where one cannot be written. Their folders are made.

    All are on the disk before the first takes its name. Where one cannot take it after that, since a folder has just
    got that name for example, some of the others may have theirs. Files of these names are replaced, all others are
    left alone. Raises UserError, after `option`.
    """
    folders = sorted({folder for path in files for folder in path.parents if not os.path.lexists(folder)})
    try:
        for folder in folders:
            folder.mkdir(exist_ok=True)
        with ExitStack() as stack:
            for path, content in files.items():
                with stack.enter_context(new_file(path, f"{option}{path}")).open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
    except (OSError, ValueError, UserError) as error:
        for folder in reversed(folders):
            with suppress(OSError):  # what somebody else has put there stays
                folder.rmdir()
        if isinstance(error, UserError):
            raise
        raise not_written(f"{option}{next(iter(files)).parent}", error) from None


def csv_texts(tables: "Mapping[str, pd.DataFrame]", digits: int, index: bool = False) -> dict[str, str]:
    """NAME.csv for every table, rounded."""
    return {f"{name}.csv": table.round(digits).to_csv(index=index) for name, table in tables.items()}


def write_folder(
    folder: Path, texts: Mapping[str, str], drawn: "Callable[[], Mapping[str, Figure]]", option: str = "--out "
) -> bool:
    """Write texts by their names, and each picture as NAME.png and NAME.svg; whether there were pictures.

    Without matplotlib a note on standard error says why there are none. Raises UserError as `write_files` does.
    """
    files = {folder / name: text.encode("utf-8", "replace") for name, text in texts.items()}
    try:
        pictures = {folder / name: each for key, found in drawn().items()
                    for name, each in figures.picture_files(found, key).items()}  # fmt: skip
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        note(f"no picture: it {needs(error)}")
        pictures = {}
    write_files({**files, **pictures}, option)
    return bool(pictures)


def tracked(items: Sequence[Item], what: str) -> Iterable[Item]:
    """The items one after the other, with a bar on standard error where that is a terminal."""
    shown = console(error=True)
    return track(items, description=what, transient=True, console=shown, disable=not shown.is_terminal)
