"""The mutation runner itself, on a small block: it kills, and goes on where it was interrupted."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from rtl.formats import INT8
from rtl.golden.units import multiply
from rtl.multiply_add import Multiplier
from tests.rtl import mutants
from tests.rtl.vectors import pairs


def check(verilog: str) -> None:
    left, right = pairs(np.arange(256, dtype=np.uint8))
    unit = mutants._compile(verilog, Multiplier(INT8, 0))
    np.testing.assert_array_equal(unit.run(a=left, b=right)["p"], multiply(left, right, INT8))


def test_an_interrupted_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.rtl.mutants.cache_folder", lambda: tmp_path / "synthesis")
    subject = mutants.Subject("product", lambda: Multiplier(INT8, 0), 4, True, check)
    before = list(islice(mutants.tried(subject), 3))
    assert [row["killed"] for row in before] == [1, 1, 1]
    asked = []
    monkeypatch.setattr("tests.rtl.mutants._killed", lambda *those: asked.append(those[-1]) or True)
    after = list(mutants.tried(subject))
    assert asked == [4]
    assert [(int(row["mutant"]), int(row["killed"])) for row in after] == [(number, 1) for number in range(1, 5)]
