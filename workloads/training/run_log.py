"""The log of a run, and what is shown of it: a line a step, with the loss and how many mask bits flipped."""

import csv
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import final

from torch import Tensor, nn

from workloads.errors import UserError
from workloads.progress import counted
from workloads.training.checkpoint import write_text
from workloads.training.layers import Masks, method_layers

NAME = "log.csv"
MaskState = Mapping[str, Masks | None]
RECENT = 0.9  # the weight of what was before in the accuracy shown


@final
@dataclass(frozen=True)
class Row:
    """One step, counted from 1. Loss and accuracy are those of its batch before the update; `flips_*` are the weights
    whose place in the mask of FF or BP changed since the step before. The learning rate and loss scale are those used.
    """

    step: int
    epoch: int
    loss: float
    accuracy: float
    learning_rate: float
    loss_scale: float
    flips_forward: int
    flips_backward: int


Show = Callable[[Row, int], None]  # a step that was made, and how many there are
HEADER = ",".join(field.name for field in fields(Row))


@final
class Log:
    """The file, open for more lines. Not frozen: it is written."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._file = self._path.open("a", encoding="utf-8", newline="")

    def close(self) -> None:
        self._file.close()

    def add(self, row: Row) -> None:
        """Raises UserError where the disk takes no more."""
        try:
            csv.writer(self._file, lineterminator="\n").writerow(asdict(row).values())
            self._file.flush()
        except OSError as error:
            raise UserError(f"{self._path}: cannot be written: {error.strerror}") from None

    def sync(self) -> None:
        """Returns when all lines are on the disk."""
        os.fsync(self._file.fileno())


def start_log(folder: Path, steps: int) -> None:
    """Make a log, or cut the one that is there, so that it ends after `steps` steps."""
    path = folder / NAME
    lines = path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []
    if len(lines) < steps:
        raise UserError(f"{path}: has {len(lines)} lines where the checkpoint says {steps} steps")
    write_text("".join(f"{line}\n" for line in [HEADER, *lines[:steps]]), path)


def masks_of(model: nn.Module) -> MaskState:
    """The masks in force, by layer."""
    return {name: layer.masks for name, layer in method_layers(model)}


def flips(before: MaskState, after: MaskState) -> tuple[int, int]:
    """How many weights changed their place in the masks of FF and of BP. A layer without masks then or now has none."""
    pairs = [(before.get(name), masks) for name, masks in after.items()]
    both = [(old, new) for old, new in pairs if old is not None and new is not None]
    return (
        sum(_changed(old.forward, new.forward) for old, new in both),
        sum(_changed(old.backward, new.backward) for old, new in both),
    )


def _changed(old: Tensor, new: Tensor) -> int:
    return 0 if old is new else int((_kept(old) != _kept(new)).sum())


def _kept(mask: Tensor) -> Tensor:
    """Of a mask of factors, what is there in full."""
    return mask if not mask.dtype.is_floating_point else mask >= 1


def rows_of(folder: Path) -> Iterator[Row]:
    """The lines of a log."""
    with (folder / NAME).open(encoding="utf-8", newline="") as file:
        for entry in csv.DictReader(file):
            yield Row(**{field.name: field.type(entry[field.name]) for field in fields(Row)})  # type: ignore[operator]


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
