"""How long work shows where it is: a bar or a changing line on a terminal, a line now and then anywhere else."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from workloads.console import console
from workloads.errors import plain

SECONDS = 10  # between two lines
Show = Callable[[int, int, str], None]  # how many are done, of how many, and more in words


@contextmanager
def counted(noun: str, stderr: bool = True, lines: bool = True) -> Iterator[Show]:
    """A function to call after every one of many like things: steps, tiles, points.

    Without `lines` nothing is shown but on a terminal: for what is usually over in a moment.
    """
    shown = console(error=stderr)
    if not shown.is_terminal:
        yield _lines(noun, lambda line: shown.print(line, markup=False) if lines else None)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=shown, transient=not lines) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total, words: progress.update(
            task, total=total, completed=done, description=escape(plain(words))
        )


def _lines(noun: str, say: Callable[[str], None]) -> Show:
    """The first one, the last one, and one every few seconds."""
    last = -SECONDS * 1.0

    def show(done: int, total: int, words: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS or done == total:
            last = now
            say(f"{noun} {done} of {total}: {words}")

    return show


@contextmanager
def steps_shown() -> Iterator[Callable[[str], None]]:
    """A function to tell each step to: a line that changes on a terminal, a line each anywhere else."""
    shown = console(error=True)
    if not shown.is_terminal:
        yield lambda step: shown.print(step, markup=False)
        return
    with shown.status("") as status:
        yield lambda step: status.update(escape(plain(step)))
