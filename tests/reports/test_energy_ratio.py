"""How many times less energy than dense: with a range of its own, the same prices on both sides."""

import json
import math
import random
from itertools import product
from pathlib import Path

import pytest

from reports import terminal
from reports.energy import energy_ratio, energy_total, ratio_ends
from reports.energy_tables import energy_by
from reports.page.content import summary
from simulator import Result, simulate
from tests.command import Run

GEMMS = ("--gemm", "300x40x64", "--gemm", "70x64x40", "--pattern", "2:8")


@pytest.fixture(scope="module")
def result() -> Result:
    return simulate("sat", "2:8", "resnet18")


def drawn(random_numbers: random.Random, least: float = 0.0) -> float:
    return random_numbers.choice([least, random_numbers.random() * random_numbers.choice([1, 100])])


def test_the_ends_are_those_of_all_corners_of_the_box() -> None:
    numbers, boxes = random.Random(7), 0
    while boxes < 500:
        prices = [(low, low + drawn(numbers)) for low in (drawn(numbers) for _ in range(numbers.randint(1, 7)))]
        above, below = ([drawn(numbers) for _ in prices] for _ in range(2))
        sums = [
            [sum(amount * price for amount, price in zip(side, corner, strict=True)) for side in (above, below)]
            for corner in product(*prices)
        ]
        ratios = [one / other if other else math.inf for one, other in sums if one or other]
        if not ratios or not any(other for _, other in sums):
            continue
        boxes += 1
        terms = [[(n * low, n * high) for n, (low, high) in zip(side, prices, strict=True)] for side in (above, below)]
        low, high = ratio_ends(*terms)
        assert low == pytest.approx(min(ratios), rel=1e-9)
        assert high == pytest.approx(max(ratios), rel=1e-9)


def test_what_is_the_same_on_both_sides_leaves_nothing_open() -> None:
    terms = [(1.0, 9.0), (0.0, 4.0), (2.0, 2.0)]
    assert ratio_ends(terms, terms) == (1.0, 1.0)
    twice = [(2 * low, 2 * high) for low, high in terms]
    assert ratio_ends(twice, terms) == (2.0, 2.0)


def test_the_main_job(result: Result) -> None:
    """1.71 times less, from 30.9 and 52.9 J: each side is open by a factor of five, their ratio by a fifth."""
    ratio, mine, other = energy_ratio(result), energy_total(result), energy_total(result.baseline)
    assert ratio is not None
    assert ratio.value == pytest.approx(other.joules / mine.joules)
    assert mine.high / mine.low > 4 and ratio.high / ratio.low < 1.25
    assert other.low / mine.high < ratio.low < ratio.value < ratio.high < other.high / mine.low


def test_no_draw_of_prices_leaves_the_range_and_two_reach_its_ends(result: Result) -> None:
    ratio, numbers = energy_ratio(result), random.Random(3)
    assert ratio is not None
    mine, other = (energy_by(each, ["entry"])[["low_mj", "high_mj"]] for each in (result, result.baseline))
    names = sorted({*mine.index, *other.index})
    mine, other = (each.reindex(names, fill_value=0.0).to_numpy() for each in (mine, other))

    def of(share: list[float]) -> float:
        """The ratio with every price so far through its range."""
        above, below = (
            sum(low + s * (high - low) for (low, high), s in zip(side, share, strict=True)) for side in (other, mine)
        )
        return above / below

    for _ in range(300):
        corner = numbers.random() < 0.5
        found = of([float(numbers.random() < 0.5) if corner else numbers.random() for _ in names])
        assert ratio.low - 1e-9 <= found <= ratio.high + 1e-9
    for end in (ratio.low, ratio.high):  # Dinkelbach: at an end, the prices that are best for it give it again
        side = 1 if end == ratio.high else -1
        best = [float(side * (above - end * below) > 0) for (_, above), (_, below) in zip(other, mine, strict=True)]
        assert of(best) == pytest.approx(end, rel=1e-12)


def test_every_view_says_it_and_json_has_it_as_fields(simulate: Run, result: Result) -> None:
    said = str(energy_ratio(result))
    assert said.startswith("1.71 times less energy than dense, 1.5") and "the same prices on both sides" in said
    assert said in summary(result)
    assert said in " ".join(terminal.show(result, Path("r")).split())
    energy = json.loads(simulate(*GEMMS, "--json")[1])["energy"]
    assert energy["ratio"] == pytest.approx(energy["dense_joules"] / energy["joules"])
    assert energy["low_ratio"] < energy["ratio"] < energy["high_ratio"]
    dense = json.loads(simulate(*GEMMS[:-2], "--json")[1])["energy"]
    assert [dense[name] for name in ("ratio", "low_ratio", "high_ratio")] == [None] * 3


def test_a_memory_of_another_kind_is_said_in_a_line(simulate: Run) -> None:
    setting = ("--set", "dram.channel_bandwidth_gb_s=460")
    code, out, _ = simulate(*GEMMS, *setting, "--out", "r")
    lines = [line for line in out.splitlines() if line.startswith("Note: ")]
    assert code == 0 and len(lines) == 1
    assert "dram.channel_bandwidth_gb_s is 460 instead of 19.2, and the energy of DRAM is still DDR4's" in lines[0]
    assert json.loads(simulate(*GEMMS, *setting, "--json")[1])["energy"]["note"] in lines[0]
    assert "Note: " not in simulate(*GEMMS)[1]
