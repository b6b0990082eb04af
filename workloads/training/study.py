"""A study of accuracy: methods x patterns x seeds, each a training run, over as many sittings as it takes.

A study's folder holds `study.json` (what every run has in common) and `runs/`, with a JSON file for each run that came
to its end and a folder for each that did not. A run in progress goes on from its checkpoint. Several processes may work
on one folder: a run that another one holds is left to it.
"""

import fcntl
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TypedDict, cast, final

from workloads.errors import UserError
from workloads.training.checkpoint import write_text
from workloads.training.run import resume_run, start_run
from workloads.training.run_log import Show
from workloads.training.settings import NAME as RUN
from workloads.training.settings import RESULT, Settings

NAME, RUNS = "study.json", "runs"
SCHEMA = 1
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
        return "-".join([self.method, *([self.pattern.replace(":", "of")] if self.pattern else []), f"seed{self.seed}"])

    def settings(self, common: Settings) -> Settings:
        """Those of this run."""
        return replace(common, method=self.method, patterns=(self.pattern,) if self.pattern else (), seed=self.seed)


class Record(TypedDict):
    """The result of a run, as it writes it into its folder."""

    model: str
    data: str
    steps: int
    test_accuracy: float
    test_right: int
    test_examples: int
    seconds: float
    settings: dict[str, object]


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
    path = folder / NAME
    shared = {name: value for name, value in asdict(common).items() if name not in VARIED}
    if not path.exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"--out {folder}: holds something that is not a study; it is left alone")
        try:
            (folder / RUNS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--out {folder}: cannot be written: {error.strerror or error}") from None
        write_text(json.dumps({"schema": SCHEMA, "settings": shared}, indent=1) + "\n", path)
    before = _read(path)["settings"]
    for field in fields(Settings):
        if field.name not in VARIED and _plain(before.get(field.name)) != _plain(shared[field.name]):
            raise UserError(
                f"--out {folder}: a study is there whose {field.name} is {before.get(field.name)}, not "
                f"{shared[field.name]}; repeat its options to go on, or choose another folder"
            )


def work_off(
    folder: Path, common: Settings, todo: Sequence[Cell], show: Callable[[Cell, int, int], Show]
) -> Iterator[Cell]:
    """Train every cell that has no result yet and that no other process trains; gives each when it is done."""
    for number, cell in enumerate(todo, start=1):
        done, place = folder / RUNS / f"{cell.name}.json", folder / RUNS / cell.name
        with claimed(place.with_suffix(".lock")) as ours:
            if not ours or done.exists():
                continue
            if not (place / RESULT).exists():
                steps = show(cell, number, len(todo))
                _ = (
                    resume_run(place, steps)
                    if (place / RUN).exists()
                    else start_run(cell.settings(common), place, steps)
                )
            write_text((place / RESULT).read_text(encoding="utf-8"), done)
            shutil.rmtree(place, ignore_errors=True)
        yield cell


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Whether this process got the lock file, which goes again afterwards; a killed one's claim does not count."""
    with path.open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
        path.unlink(missing_ok=True)


def outcomes(folder: Path, wanted: Sequence[Cell]) -> list[tuple[Cell, Record]]:
    """The results there are, in the order of the cells. Raises UserError for a file that is none."""
    paths = [(cell, folder / RUNS / f"{cell.name}.json") for cell in wanted]
    return [(cell, _read(path)) for cell, path in paths if path.exists()]


def _read(path: Path) -> Record:
    """A result; of the study itself there are the settings alone."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("settings"), dict):
        raise UserError(f"{path}: is not the record of a study; remove it to train this run again")
    return cast(Record, found)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
