"""Killed at random moments, then run to the end: the same comes out as of a run that nobody disturbed."""

import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pyarrow import parquet

from simulator import load_result
from tests.crash.processes import finished, hidden, killed, seconds_of, started
from workloads.errors import UserError

GRID = ("array.rows=8,16", "array.cols=8,16", "pattern=2:4,2:8", "model=resnet9", "batch=8")
SWEEP = ("sweep", *(word for text in GRID for word in ("--grid", text)), "--out", "s")
TRAIN = (
    "train", "--method", "bdwp", "--pattern", "2:8", "--model", "resnet9", "--dataset", "digits", "--width", "0.05",
    "--limit", "32", "--batch", "16", "--image", "16", "--checkpoint-every", "2",
)  # fmt: skip
STEP = ("--gemm", "64x64x64", "--gemm", "32x16x8", "--out", "r")
NEW, OLD = ("--pattern", "2:8"), ("--pattern", "2:4")
TRIES = 12  # for one kill that comes before the end
Look = Callable[[Path], list[str]]  # at a folder: what is wrong there


@dataclass(frozen=True)
class Scenario:
    """Commands that are killed. begin: the folder before each. at_once: what has to hold right after a kill, and
    go_on: the commands that complete it there. complete: what has to hold in the end.
    """

    name: str
    kills: int
    lines: tuple[tuple[str, ...], ...]
    begin: Callable[[Path], None]
    at_once: Look
    go_on: Callable[[Path], Sequence[str]]
    complete: Look
    seconds: float = 0.0


def run(scenario: Scenario, luck: random.Random, place: Path) -> Iterator[str]:
    """Every kill of a scenario; yields what went wrong."""
    done = tries = 0
    while done < scenario.kills and tries < TRIES * scenario.kills:
        tries += 1
        folder = place / f"{scenario.name.replace(' ', '-')}-{tries}"
        folder.mkdir()
        scenario.begin(folder)
        processes = [started(folder, line) for line in scenario.lines]
        struck = killed(processes, folder, luck, scenario.seconds)
        for other in processes[1:]:
            other.wait()
        if struck:
            done += 1
            where = f"{scenario.name}, kill {done}"
            yield from (f"{where}: right after it: {wrong}" for wrong in scenario.at_once(folder))
            ended = finished(folder, scenario.go_on(folder))
            if ended.code:
                yield f"{where}: going on: {ended}"
            else:
                yield from (f"{where}: in the end: {wrong}" for wrong in scenario.complete(folder))
        shutil.rmtree(folder)
    if done < scenario.kills:
        yield f"{scenario.name}: only {done} of {scenario.kills} kills came before the end"


def scenarios(place: Path, share: float = 1.0) -> Iterator[Scenario]:
    """All of them, with what undisturbed runs give, made in `place`. share: of the kills."""
    for each in (*_sweeps(place), *_trainings(place), *_forced(place)):
        yield replace(each, kills=max(1, round(share * each.kills)))


def _nothing(folder: Path) -> None:
    del folder


def rows_of(folder: Path) -> dict[str, dict[str, Any]]:
    """A sweep's rows by key."""
    return {
        row["key"]: row
        for path in sorted(folder.glob("points/*.parquet"))
        for row in parquet.read_table(path, memory_map=False, partitioning=None).to_pylist()
    }


def _sweeps(place: Path) -> Iterator[Scenario]:
    whole = _made(place / "whole-sweep")
    alone = (*SWEEP, "--jobs", "1")
    seconds = seconds_of(whole, alone)
    wanted = rows_of(whole / "s")

    def so_far(folder: Path) -> list[str]:
        return [f"row {key} differs" for key, row in rows_of(folder / "s").items() if row != wanted.get(key)]

    def all_there(folder: Path) -> list[str]:
        wrong = [] if rows_of(folder / "s") == wanted else ["the rows are not those of an undisturbed sweep"]
        return wrong + [f"left behind: {name}" for name in hidden(folder)]

    def same(line: tuple[str, ...]) -> Callable[[Path], Sequence[str]]:
        return lambda _: line

    two = (*SWEEP, "--jobs", "2")
    cluster = (*SWEEP, "--cluster", "local", "--jobs", "2")
    for name, kills, lines, line, factor in (
        ("sweep", 14, (alone,), alone, 1.0),
        ("two sweeps", 6, (alone, alone), alone, 1.0),
        ("sweep of two processes", 4, (two,), two, 1.5),
        ("sweep on dask", 4, (cluster,), cluster, 3.0),
    ):
        yield Scenario(name, kills, lines, _nothing, so_far, same(line), all_there, factor * seconds)


def _trainings(place: Path) -> Iterator[Scenario]:
    whole = _made(place / "whole-training")
    line = (*TRAIN, "--steps", "8", "--out", "t")
    seconds = seconds_of(whole, line)
    wanted = _trained(whole / "t")

    def go_on(folder: Path) -> Sequence[str]:
        return ("train", "--resume", "t") if (folder / "t").exists() else line

    def right(folder: Path) -> list[str]:
        return _same_run(folder / "t", wanted) + [f"left behind: {name}" for name in hidden(folder)]

    yield Scenario("training", 12, (line,), _nothing, lambda _: [], go_on, right, seconds)

    def old_one(folder: Path) -> None:
        shutil.copytree(whole / "t", folder / "t")

    forced = (*TRAIN, "--steps", "4", "--seed", "7", "--out", "t", "--force")
    other = _made(place / "other-training")
    seconds = seconds_of(other, forced)
    new = _trained(other / "t")

    def old_or_begun(folder: Path) -> list[str]:
        if not (folder / "t" / "run.json").exists():
            return ["there is no run, neither the old nor the new one"]
        text = (folder / "t" / "run.json").read_text(encoding="utf-8")
        is_old = text == (whole / "t" / "run.json").read_text(encoding="utf-8")
        return _same_run(folder / "t", wanted) if is_old else []

    def forced_on(folder: Path) -> Sequence[str]:
        return forced if (folder / "t" / "result.json").exists() else ("train", "--resume", "t")

    def new_one(folder: Path) -> list[str]:
        return _same_run(folder / "t", new) + [f"left behind: {name}" for name in hidden(folder)]

    yield Scenario("training --force", 8, (forced,), old_one, old_or_begun, forced_on, new_one, seconds)


def _trained(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("weights.safetensors", "log.csv")}


def _same_run(folder: Path, wanted: dict[str, bytes]) -> list[str]:
    try:
        found = _trained(folder)
    except OSError as error:
        return [str(error)]
    return [f"{name} is not that of an undisturbed run" for name in wanted if found[name] != wanted[name]]


def _forced(place: Path) -> Iterator[Scenario]:
    tables = {}
    for name, line in (("old", (*STEP, *OLD)), ("new", (*STEP, *NEW))):
        folder = _made(place / f"{name}-result")
        seconds = seconds_of(folder, line)
        tables[name] = _tables(folder / "r")

    def old_one(folder: Path) -> None:
        shutil.copytree(place / "old-result" / "r", folder / "r")

    def either(folder: Path) -> list[str]:
        try:
            found = _tables(folder / "r")
        except UserError as error:
            return [str(error)]
        return [] if found in tables.values() else ["the result is neither the old nor the new one"]

    def new_one(folder: Path) -> list[str]:
        wrong = [] if _tables(folder / "r") == tables["new"] else ["the result is not the new one"]
        return wrong + [f"left behind: {name}" for name in hidden(folder)]

    line = (*STEP, *NEW, "--force")
    yield Scenario("--force", 14, (line,), old_one, either, lambda _: line, new_one, seconds)


def _tables(folder: Path) -> list[object]:
    """The numbers of a result. Raises UserError where it is none."""
    found = load_result(folder)
    return [found.op_columns, found.action_columns, None if found.dense is None else found.dense.op_columns]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
