"""How long work shows where it is: a bar or a changing line on a terminal, a line now and then anywhere else."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.sweep.runner import Counts
    from workloads.training.run import Show as ShowTraining
    from workloads.training.run_log import Row

SECONDS = 10  # between two lines
RECENT = 0.9  # the weight of what was before in the accuracy shown
Show = Callable[[int, int, str], None]  # how many are done, of how many, and more in words


@contextmanager
def counted(noun: str, stderr: bool = True) -> Iterator[Show]:
    """A function to call after every one of many like things: steps, tiles, points."""
    from rich.console import Console

    console = Console(stderr=stderr)
    if not console.is_terminal:
        yield _lines(noun, lambda line: console.print(line, highlight=False, soft_wrap=True))
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total, words: progress.update(task, total=total, completed=done, description=words)


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
def training_shown() -> "Iterator[ShowTraining]":
    """A function to call after every training step, with loss and accuracy."""
    smooth = Smooth()
    with counted("step", stderr=False) as show:
        yield lambda row, steps: show(row.step, steps, smooth.text(row))


@contextmanager
def points_shown() -> "Iterator[Callable[[Counts], None]]":
    """A function to call whenever points of a sweep are finished."""
    with counted("point") as show:
        yield lambda counts: show(counts.all - counts.left, counts.all, counts.words)


class Smooth:
    """The accuracy over the last steps or so. Not frozen: it follows a run."""

    def __init__(self) -> None:
        self._accuracy: float | None = None

    def text(self, row: "Row") -> str:
        before = row.accuracy if self._accuracy is None else self._accuracy
        self._accuracy = RECENT * before + (1 - RECENT) * row.accuracy
        return f"loss {row.loss:.4f}, accuracy {100 * self._accuracy:.1f} %"


@contextmanager
def steps_shown() -> Iterator[Callable[[str], None]]:
    """A function to tell each step to: a line that changes on a terminal, a line each anywhere else."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda step: console.print(step, highlight=False)
        return
    with console.status("") as status:
        yield status.update
