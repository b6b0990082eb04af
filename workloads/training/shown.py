"""How a training run shows where it is: a step, its loss, and the accuracy over the last steps or so."""

from collections.abc import Iterator
from contextlib import contextmanager

from workloads.progress import counted
from workloads.training.run import Show
from workloads.training.run_log import Row

RECENT = 0.9  # the weight of what was before in the accuracy shown


class Smooth:
    """The accuracy over the last steps or so. Not frozen: it follows a run."""

    def __init__(self) -> None:
        self._accuracy: float | None = None

    def text(self, row: Row) -> str:
        before = row.accuracy if self._accuracy is None else self._accuracy
        self._accuracy = RECENT * before + (1 - RECENT) * row.accuracy
        return f"loss {row.loss:.4f}, accuracy {100 * self._accuracy:.1f} %"


@contextmanager
def training_shown() -> Iterator[Show]:
    """A function to call after every training step."""
    smooth = Smooth()
    with counted("step", stderr=False) as show:
        yield lambda row, steps: show(row.step, steps, smooth.text(row))
