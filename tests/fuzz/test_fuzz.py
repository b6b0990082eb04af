"""A short part of `make fuzz`: some inputs of every kind."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.child import WALL_SECONDS, Ended
from tests.fuzz.kinds import Input
from tests.fuzz.rules import judged, names_in

ROOT = Path(__file__).parents[2]
COUNT = 100


def test_some_inputs_of_every_kind() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--count", str(COUNT), "--no-cases", "--untimed"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]


PLANTED = [
    (
        Ended(1, 0.1, 1, "", "Traceback (most recent call last):\nKeyError: 3", False),
        "a traceback that ends in: 'KeyError: 3'",
    ),
    (Ended(2, 0.1, 1, "", "", False), "0 lines of standard error begin with 'simulate:', not one"),
    (
        Ended(2, 0.1, 1, "", "simulate: no\nsimulate: no\n", False),
        "2 lines of standard error begin with 'simulate:', not one",
    ),
    (Ended(2, 0.1, 1, "", f"simulate: {'x' * 1_200}\n", False), "a sentence of 1210 letters"),
    (Ended(2, 0.1, 1, "", "simulate: \x1b[2J\n", False), "the sentence holds control characters"),
    (Ended(2, 3.5, 1, "", "simulate: no\n", False), "seconds of CPU: 3.5, of 3 for a refused one"),
    (Ended(0, 3.5, 400, "", "", False), "MiB more than at first: 400.0, of 250 for an accepted one"),
    (
        Ended(0, 1, 1, "", "a.py:3: RuntimeWarning: overflow\n", False),
        "a warning of Python's: a.py:3: RuntimeWarning: overflow",
    ),
    (Ended(-11, 1, 1, "", "", False), "was killed by signal 11"),
    (Ended(3, 1, 1, "", "", False), "exit code 3"),
    (Ended(-9, 1, 1, "", "", True), f"hangs: was ended after {WALL_SECONDS:.0f} s"),
]


@pytest.mark.parametrize(("ended", "said"), PLANTED)
def test_a_broken_rule_is_seen(ended: Ended, said: str, tmp_path: Path) -> None:
    assert judged(Input(), ended, names_in(tmp_path), tmp_path).wrong == (said,)


@pytest.mark.parametrize("code", [0, 2])
def test_what_is_left_behind_or_changed_is_seen(code: int, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("before")
    before = names_in(tmp_path)
    (tmp_path / "mine").write_text("after")
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / ".x.partial").write_text("")
    seen = judged(Input(), Ended(code, 0.1, 1, "", "simulate: no\n" if code else "", False), before, tmp_path)
    hidden = "left behind: 'r/.x.partial'"
    assert seen.wrong == ("changed: 'mine'", *(("left behind: 'r'",) if code else ()), hidden)
