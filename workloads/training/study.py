"""A study of accuracy: methods x patterns x seeds, each a training run, over as many sittings as it takes.

A study's folder holds `study.json` (what every run has in common) and `runs/`, with a JSON file for each run that came
to its end and a folder for each that did not. A run in progress goes on from its checkpoint. Several processes may work
on one folder: a run that another one holds is left to it.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from math import isfinite
from pathlib import Path
from typing import final

from workloads.errors import UserError
from workloads.files.locks import take
from workloads.files.partials import remove_folder
from workloads.files.reading import check_schema, checked, read_json
from workloads.files.writing import new_folder, not_written, write_text
from workloads.op import Amount, Count
from workloads.training.run import resume_run, start_run
from workloads.training.run_folder import NAME as RUN
from workloads.training.run_folder import RESULT, owned
from workloads.training.run_log import Show
from workloads.training.settings import Settings

NAME, RUNS = "study.json", "runs"
SCHEMA = 1
WHAT, RECORD = "the description of a study", "the record of a run"
VARIED = ("method", "patterns", "seed")  # what differs between the runs of a study


@final
@dataclass(frozen=True)
class Cell:
    """One run of a study. `pattern` is empty for dense training."""

    method: str
    pattern: str
    seed: int

    @property
    def name(self) -> str:
        return "-".join(
            [
                self.method,
                *([self.pattern.replace(":", "of").replace("/", "_")] if self.pattern else []),
                f"seed{self.seed}",
            ]
        )

    def settings(self, common: Settings) -> Settings:
        """Those of this run."""
        return replace(common, method=self.method, patterns=(self.pattern,) if self.pattern else (), seed=self.seed)


@final
@dataclass(frozen=True)
class Record:
    """The result of a run, as it writes it into its folder; what else is there is not looked at."""

    schema: int
    model: str
    data: str
    steps: Count
    test_right: Amount
    test_examples: Amount
    seconds: float
    settings: Settings

    @property
    def accuracy(self) -> float:
        return self.test_right / max(1, self.test_examples)


@final
@dataclass(frozen=True)
class Common:
    """What `study.json` holds: the settings that all runs share. One that it does not know is its default."""

    schema: int
    settings: Settings


def cells(methods: Sequence[str], patterns: Sequence[str], seeds: int) -> list[Cell]:
    """All runs, seed by seed, so that a study cut short has all methods alike. Dense training has no pattern."""
    return [
        Cell(method, pattern, seed)
        for seed in range(seeds)
        for method in dict.fromkeys(methods)
        for pattern in ([""] if method == "dense" else dict.fromkeys(patterns))
    ]


def open_study(folder: Path, common: Settings) -> None:
    """Make a study's folder, or find it made for the same runs. Raises UserError where it is something else."""
    path, said = folder / NAME, f"--out {folder}"
    if not path.exists():
        _make(folder, common, said)
    before = _common(path)
    for field in fields(Settings):
        one, other = (getattr(each, field.name) for each in (before, common))
        if field.name not in VARIED and one != other:
            raise UserError(
                f"{said}: a study is there whose {field.name} is {one}, not {other}; repeat its options to go on, or "
                "choose another folder"
            )


def _make(folder: Path, common: Settings, said: str) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{said}: holds something that is not a study; it is left alone")
    shared = {name: value for name, value in asdict(common).items() if name not in VARIED}
    try:
        with new_folder(folder, lambda _: False, said=said) as partial:
            (partial / RUNS).mkdir()
            write_text(partial / NAME, json.dumps({"schema": SCHEMA, "settings": shared}, indent=1) + "\n")
    except UserError:
        if not (folder / NAME).exists():  # otherwise another process has made it meanwhile
            raise


def _common(path: Path) -> Settings:
    node = check_schema(read_json(path, f"{WHAT} is JSON"), str(path), SCHEMA, WHAT)
    given = node.get("settings")
    if isinstance(given, dict):  # those that vary are not there
        node = {**node, "settings": {**given, "method": "", "patterns": [], "seed": 0}}
    return checked(Common, node, str(path), strict=True).settings


def work_off(
    folder: Path, common: Settings, todo: Sequence[Cell], show: Callable[[Cell, int, int], Show]
) -> Iterator[Cell]:
    """Train every cell that has no result yet and that no other process trains; gives each when it is done."""
    for number, cell in enumerate(todo, start=1):
        done, place = folder / RUNS / f"{cell.name}.json", folder / RUNS / cell.name
        with claimed(folder / RUNS / f"{cell.name}.lock") as ours:
            if not ours or done.exists():
                continue
            if not (place / RESULT).exists():
                steps = show(cell, number, len(todo))
                _ = (
                    resume_run(place, steps)
                    if (place / RUN).exists()
                    else start_run(cell.settings(common), place, steps)
                )
            write_text(done, json.dumps(_record(place / RESULT, cell)[0], indent=1) + "\n")
            remove_folder(place, owned)
        yield cell


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Whether this process got the lock file, which goes again afterwards; a killed one's claim does not count."""
    try:
        path.parent.mkdir(exist_ok=True)
        lock = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise not_written(str(path), error) from None
    ours = False
    try:
        ours = take(lock, path)
        yield ours
    finally:
        if ours:
            path.unlink(missing_ok=True)
        os.close(lock)


def outcomes(folder: Path, wanted: Sequence[Cell]) -> list[tuple[Cell, Record]]:
    """The results there are, in the order of the cells. Raises UserError for a file that is none."""
    paths = [(cell, folder / RUNS / f"{cell.name}.json") for cell in wanted]
    return [(cell, _record(path, cell)[1]) for cell, path in paths if path.exists()]


def _record(path: Path, cell: Cell) -> tuple[dict[str, object], Record]:
    """The result of a cell's run, as it lies in the file and as what it says."""
    try:
        node = check_schema(read_json(path, f"{RECORD} is JSON"), str(path), SCHEMA, RECORD)
        found = checked(Record, node, str(path), strict=True)
        if found.settings != cell.settings(found.settings):
            raise UserError(f"{path}: settings: are those of another run than {cell.name}")
        if found.test_right > found.test_examples or not (isfinite(found.seconds) and found.seconds >= 0):
            raise UserError(f"{path}: test_right, test_examples or seconds is not what a run can have")
    except UserError as error:
        raise UserError(f"{error}; remove {path.name} to train this run again") from None
    return node, found
