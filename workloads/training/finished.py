"""A training run that came to its end, read from its folder. Needs no torch."""

import csv
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, final

from annotated_types import Interval

from workloads.errors import UserError
from workloads.files.reading import check_schema, checked, read_json, read_text
from workloads.op import Amount
from workloads.stored import instantiate, read_template
from workloads.training.run_folder import NAME, RESULT, SCHEMA, TABLE, read_settings
from workloads.training.run_log import more_columns, read_log
from workloads.training.settings import Settings
from workloads.workload import Workload

WHAT = "the result of a training run"
STEP = "step-000001.json"
OPTIONS = {
    "learning_rate": "--lr",
    "method_fields": "--set",
    "patterns": "--pattern",
}  # others as fields are
Share = Annotated[float, Interval(ge=0, le=1)]


@final
@dataclass(frozen=True)
class Tested:
    """What a model got right in the test."""

    test_accuracy: Share
    test_right: Amount
    test_examples: Amount


@final
@dataclass(frozen=True)
class OnBackend:
    """What is said of a backend: steps that updated nothing, and clock cycles of all steps, 0 without a clock."""

    name: str
    steps_left_out: Amount
    cycles: Annotated[float, Interval(ge=0, le=1e300)]


@final
@dataclass(frozen=True)
class Told:
    """The parts of `result.json` that are read. torch: of the same run in torch, None where there was none."""

    model: str
    data: str
    steps: Amount
    test_accuracy: Share
    test_right: Amount
    test_examples: Amount
    versions: Mapping[str, str]
    sparse_layers: tuple[str, ...]
    backend: OnBackend | None = None
    torch: Tested | None = None


@final
@dataclass(frozen=True)
class Finished:
    """A run on a backend. log: a row a step, by column; table: what the backend told of every op of the last step."""

    settings: Settings
    told: Told
    backend: OnBackend
    log: list[dict[str, float]]
    step: Workload
    table: list[dict[str, str]]

    @property
    def has_clock(self) -> bool:
        return self.backend.cycles > 0

    @property
    def command(self) -> str:
        """The command that gives this run again."""
        words = ["simulate", "train"]
        for field in fields(Settings):
            value = getattr(self.settings, field.name)
            if field.name not in ("model", "method") and value == field.default:
                continue
            option = OPTIONS.get(field.name, f"--{field.name.replace('_', '-')}")
            if value is True:
                words.append(option)
            else:
                for each in value if isinstance(value, tuple) else (value,):
                    words += [option, str(each)]
        return shlex.join(words)


def is_run(folder: Path) -> bool:
    """Whether a folder holds a training run."""
    return (folder / NAME).is_file()


def read_finished(folder: Path) -> Finished:
    """The run on a backend in a folder.

    Raises UserError for a run that has not come to its end, was made in torch alone, or is not what was written.
    """
    settings = read_settings(folder, "")
    if not settings.on:
        raise UserError(f"{folder}: is a training run in torch alone; pages are of runs on a backend (--on)")
    path = folder / RESULT
    if not path.exists():
        raise UserError(f"{folder}: this run has not come to its end; go on with simulate train --resume {folder}")
    node = check_schema(read_json(path, f"{WHAT} is JSON"), str(path), SCHEMA, WHAT)
    told = checked(Told, node, str(path))
    if told.backend is None or told.steps < 1:
        raise UserError(f"{path}: says nothing of a backend, and {folder / NAME} names {settings.on}")
    log = read_log(folder, told.steps, more_columns(settings.on, settings.alone))
    step = folder / STEP
    return Finished(settings, told, told.backend, log, instantiate(read_template(step), step), _table(folder / TABLE))


def _table(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    rows = list(csv.DictReader(read_text(path, "a table of ops is CSV").splitlines(), restkey="more", restval=""))
    if any("more" in row for row in rows):
        raise UserError(f"{path}: a line has more cells than there are columns")
    return [dict(row) for row in rows]
