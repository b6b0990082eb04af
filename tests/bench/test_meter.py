"""What the meter of whole commands tells, of small commands."""

import sys
from pathlib import Path

import pytest

from tests.bench.meter import Meter

BUSY = "x = bytearray(200 * 2**20); sum(range(10**6))"


def test_a_command_counts_its_own_memory_and_time_and_not_those_of_this_process(tmp_path: Path) -> None:
    meter, mine = Meter(), b"x" * (100 * 2**20)
    idle = meter.run(sys.executable, "-I", "-S", "-c", "pass", folder=tmp_path)
    assert 0 < idle < 50 < len(mine) / 2**20
    before = meter.seconds()
    assert meter.run(sys.executable, "-c", BUSY, folder=tmp_path) > 200
    assert meter.seconds() > before > 0


def test_another_exit_code_than_the_expected_one_stops_with_what_was_said(tmp_path: Path) -> None:
    line = (sys.executable, "-c", "import sys; sys.exit('spoiled')")
    Meter().run(*line, folder=tmp_path, code=1)
    with pytest.raises(AssertionError, match=r"exit code 1\nspoiled"):
        Meter().run(*line, folder=tmp_path)
