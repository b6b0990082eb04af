"""Whole commands as somebody waits for them: CPU seconds and peak memory of a process of its own, `make bench`."""

import shlex
import statistics
import sys
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, final

import pytest

from tests.bench.meter import Meter

SIMULATE = Path(sys.executable).with_name("simulate")
METER = Meter()
MAIN_JOB = "--arch sat --pattern 2:8 --model resnet18"
pytestmark = [pytest.mark.bench, pytest.mark.benchmark(timer=METER.seconds)]


@final
@dataclass(frozen=True)
class Line:
    """A command line, and how often it is run, each time in an empty folder.

    before: a command that is run there first, and not timed. code: with which it ends. is_first: whether it is the
    first run on a machine, which has compiled nothing yet; of the others the median leaves out a round that compiled.
    """

    arguments: str
    rounds: int = 3
    before: str = ""
    code: int = 0
    is_first: bool = False

    def __str__(self) -> str:
        return f"simulate {self.arguments}{', first run on a machine' if self.is_first else ''}"


LINES = (
    Line("--help", rounds=7),
    Line("--model resnet81", rounds=7, code=2),
    Line(MAIN_JOB, rounds=7),
    Line(MAIN_JOB, is_first=True),
    Line("report RESULT", before=f"{MAIN_JOB} --out RESULT"),
    Line("validate sat"),
    Line("sensitivity --pattern 2:8 --model resnet18 --samples 256 --search 0", rounds=1),
    Line("--arch piuma --matrix rmat:14:16 --limit multiplies=60000000"),
    Line("--arch piuma --pattern 2:8 --model resnet18"),
)


@pytest.mark.parametrize("line", LINES, ids=str)
def test_command(benchmark: Any, line: Line, tmp_path: Path) -> None:
    numbers, peaks = count(), list[float]()

    def in_new_folder() -> tuple[tuple[Path], dict[str, object]]:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        if line.before:
            METER.run(SIMULATE, *shlex.split(line.before), folder=folder)
        return (folder,), {}

    def run(folder: Path) -> None:
        more = {"NUMBA_CACHE_DIR": str(folder)} if line.is_first else {}
        peaks.append(METER.run(SIMULATE, *shlex.split(line.arguments), folder=folder, code=line.code, more=more))

    benchmark.pedantic(run, setup=in_new_folder, rounds=line.rounds)
    benchmark.extra_info["peak_mib"] = statistics.median(peaks)
