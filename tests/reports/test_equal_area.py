"""The speed-up at equal area stands beside the headline: what the study says of the same step, by our own RTL."""

import pandas as pd
import pytest

from reports.equal_area import OURS, at_equal_area, equal_area_words, own_areas, plain_result
from simulator.job import Job, Source
from simulator.runner import run_job
from tests.command import Run
from workloads.work import Work

WORK = Work(model="resnet9", batch=8)


def test_it_is_the_plain_array_of_the_area_that_was_synthesised() -> None:
    result, table = run_job(Job(Source("sat"), WORK, ("2:8",))), pd.read_csv(OURS)
    largest = table[(table["format"] == "fp16") & (table["rows"] == table["rows"].max())].set_index("pattern")
    areas = own_areas("2:8", "fp16")
    assert areas is not None
    assert areas.rows_of_equal_area(32) == int(32 * largest.loc["2:8", "luts"] / largest.loc["dense", "luts"]) > 32
    plain = plain_result(result, areas)
    clock = 200 * largest.loc["dense", "fmax_mhz"] / largest.loc["2:8", "fmax_mhz"]
    assert plain.card.clock_mhz == pytest.approx(clock, abs=0.001)  # written with six digits
    found = at_equal_area(result)
    assert found == plain.seconds / result.seconds and 1 < found < result.speedup
    assert equal_area_words(result) == f", {found:.2f}x at equal area (LUTs and clock of our RTL, simulate area)"


def test_the_headline_has_it_where_the_array_was_synthesised(simulate: Run) -> None:
    work = ("--model", "resnet9", "--batch", "8")
    assert "at equal area (LUTs and clock of our RTL" in simulate(*work, "--pattern", "2:4")[1]
    for others in (
        ("--pattern", "3:8"),
        ("--pattern", "2:8", "--pattern", "layer1.*=1:8"),
        ("--pattern", "2:8", "--set", "rtl.format=int8"),
        ("--pattern", "2:8", "--arch", "dense"),
    ):
        code, out, _ = simulate(*work, *others)
        assert code == 0 and "Speed-up" in out and "equal area" not in out
