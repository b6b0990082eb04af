"""The log of a run, and what is shown of it: a line a step, with the loss and how many mask bits flipped.

Needs no torch, so that a damaged log is told before torch is imported.
"""

import csv
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import final

from workloads.errors import UserError
from workloads.files.limits import LOG_LINE
from workloads.files.reading import opened
from workloads.files.writing import new_file, not_written
from workloads.progress import counted

NAME = "log.csv"
RECENT = 0.9  # the weight of what was before in the accuracy shown


@final
@dataclass(frozen=True)
class Row:
    """One step, counted from 1. Loss and accuracy are those of its batch before the update; `flips_*` are the weights
    whose place in the mask of FF or BP changed by the update. The learning rate and loss scale are those used.
    """

    step: int
    epoch: int
    loss: float
    accuracy: float
    learning_rate: float
    loss_scale: float
    flips_forward: int
    flips_backward: int
    more: Mapping[str, float] = field(default_factory=dict)  # columns that only some runs have, by name


Show = Callable[[Row, int], None]  # a step that was made, and how many there are
OWN = {each.name: each.type for each in fields(Row) if each.name != "more"}
LEFT_OUT, CYCLES, TORCH_LOSS, TORCH_ACCURACY = "left_out", "cycles", "torch_loss", "torch_accuracy"


def more_columns(on: str, alone: bool) -> tuple[str, ...]:
    """The further columns of a run on a backend: whether the step updated nothing, its clock cycles (0 where the
    backend has no clock), and loss and accuracy of the same step in torch."""
    return (LEFT_OUT, CYCLES, *(() if alone else (TORCH_LOSS, TORCH_ACCURACY))) if on else ()


def header(more: Sequence[str]) -> str:
    """The first line of a log."""
    return ",".join([*OWN, *more])


@final
class Log:
    """The file, open for more lines. Not frozen: it is written."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        try:
            self._file = self._path.open("a", encoding="utf-8", newline="")
        except OSError as error:
            raise not_written(str(self._path), error) from None

    def close(self) -> None:
        with suppress(OSError):  # what it would say, `add` has said
            self._file.close()

    def add(self, row: Row) -> None:
        """Raises UserError where the disk takes no more."""
        try:
            values = [*(getattr(row, name) for name in OWN), *row.more.values()]
            csv.writer(self._file, lineterminator="\n").writerow(values)
            self._file.flush()
        except OSError as error:
            raise not_written(str(self._path), error) from None

    def sync(self) -> None:
        """Returns when all lines are on the disk."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise not_written(str(self._path), error) from None


def start_log(folder: Path, steps: int, more: Sequence[str] = ()) -> None:
    """Make a log, or cut the one that is there, so that it ends after `steps` steps. more: its further columns.

    Raises UserError where its lines are not those of the steps.
    """
    path = folder / NAME
    with new_file(path) as partial, partial.open("wb") as file:
        file.write(f"{header(more)}\n".encode())
        if steps:
            file.writelines(_lines(path, steps, more))


def read_log(folder: Path, steps: int, more: Sequence[str] = ()) -> list[dict[str, float]]:
    """The first steps by column. Raises UserError where the log does not begin with their lines."""
    names = [*OWN, *more]
    return [
        dict(zip(names, map(float, line.decode("ascii").split(",")), strict=True))
        for line in _lines(folder / NAME, steps, more)
    ]


def check_log(folder: Path, steps: int, more: Sequence[str] = ()) -> None:
    """Raises UserError where the log in a run's folder does not begin with a line for each of the first `steps` steps.

    Without a step made there is nothing to hold it against: the log is then started anew.
    """
    if steps:
        for _ in _lines(folder / NAME, steps, more):
            pass


def _lines(path: Path, steps: int, more: Sequence[str]) -> Iterator[bytes]:
    """The lines of the first steps, each held against what a line is."""
    with opened(path) as file:
        for number in range(steps + 1):
            line = file.readline(LOG_LINE)
            try:
                whole = line.endswith(b"\n") and _is_line(line.decode("ascii").removesuffix("\n"), number, more)
            except ValueError:
                whole = False
            if not whole:
                what = f"is not that of step {number}" if number else "does not name the columns of a log"
                raise UserError(
                    f"{path}:{number + 1}: this line {what}, and the checkpoint says that {steps} steps were made; "
                    f"without {path.with_name('checkpoint.json')} --resume trains from the first step again"
                )
            if number:
                yield line


def _is_line(text: str, number: int, more: Sequence[str]) -> bool:
    """Raises ValueError for a word where a number should be."""
    if number == 0:
        return text == header(more)
    words, kinds = text.split(","), [*OWN.values(), *[float] * len(more)]
    if re.fullmatch(r"[0-9.,e+-]*", text) is None:
        return False
    values = [kind(word) for kind, word in zip(kinds, words, strict=True)]  # type: ignore[operator]
    return all(map(math.isfinite, values)) and values[0] == number


class Smooth:
    """The accuracy over the last steps or so. Not frozen: it follows a run."""

    def __init__(self) -> None:
        self._accuracy: float | None = None

    def text(self, row: Row) -> str:
        if not row.accuracy and not self._accuracy:  # targets may be no classes
            return f"loss {row.loss:.4f}"
        before = row.accuracy if self._accuracy is None else self._accuracy
        self._accuracy = RECENT * before + (1 - RECENT) * row.accuracy
        return f"loss {row.loss:.4f}, accuracy {100 * self._accuracy:.1f} %"


@contextmanager
def training_shown() -> Iterator[Show]:
    """A function to call after every training step."""
    smooth = Smooth()
    with counted("step", stderr=False) as show:
        yield lambda row, steps: show(row.step, steps, smooth.text(row))
