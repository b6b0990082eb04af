"""How a training run shows where it is: a bar on a terminal, a line now and then anywhere else."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from workloads.training.run import Show
    from workloads.training.run_log import Row

SECONDS = 10  # between two lines
RECENT = 0.9  # the weight of what was before in the accuracy shown


@contextmanager
def shown() -> Iterator["Show"]:
    """A function to call after every step."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        yield _lines()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=None)
        smooth = Smooth()

        def show(row: "Row", steps: int) -> None:
            progress.update(task, total=steps, completed=row.step, description=smooth.text(row))

        yield show


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


class Smooth:
    """The accuracy over the last steps or so. Not frozen: it follows a run."""

    def __init__(self) -> None:
        self._accuracy: float | None = None

    def text(self, row: "Row") -> str:
        before = row.accuracy if self._accuracy is None else self._accuracy
        self._accuracy = RECENT * before + (1 - RECENT) * row.accuracy
        return f"loss {row.loss:.4f}, accuracy {100 * self._accuracy:.1f} %"


def _lines() -> "Show":
    """The first step, the last one, and one every few seconds."""
    smooth, last = Smooth(), -SECONDS * 1.0

    def show(row: "Row", steps: int) -> None:
        nonlocal last
        text, now = smooth.text(row), time.monotonic()
        if now - last >= SECONDS or row.step == steps:
            last = now
            typer.echo(f"step {row.step} of {steps}: {text}")

    return show
