"""What a band is made of: numbers through their ranges, energy at the best prices, a search by coordinates."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.arch.machine import load_machine
from simulator.card import numbers_of
from simulator.energy import UNITS
from simulator.rows import Row
from simulator.sensitivity.numbers import LOG_FROM, Move, OpenNumber, moves_of, open_numbers, search_moves
from simulator.sensitivity.prices import Prices
from simulator.sensitivity.search import Goal, Point, moved, searched, settled

ENDS = st.one_of(st.integers(0, 5000), st.floats(0, 5000, allow_nan=False).map(lambda each: round(each, 2)))
UP, DOWN = Goal("speedup", 1), Goal("speedup", -1)


@given(ends=st.tuples(ENDS, ENDS).filter(lambda each: each[0] != each[1]), share=st.floats(0, 1))
def test_a_number_stays_in_its_range_and_reaches_both_ends(ends: tuple[float, float], share: float) -> None:
    number = OpenNumber("a.b", ends[0], min(ends), max(ends))
    found = number.at(share)
    assert number.low <= found <= number.high
    assert (number.at(0), number.at(1)) == (number.low, number.high)
    assert not number.is_whole or float(found).is_integer()


def test_whole_numbers_have_equal_parts_of_a_narrow_range_and_of_the_logarithm_of_a_wide_one() -> None:
    shares = (np.arange(1400) + 0.5) / 1400
    narrow = np.bincount([int(OpenNumber("a", 4, 0, 13).at(share)) for share in shares])
    assert narrow.tolist() == [100] * 14
    wide = [OpenNumber("a", 32, 16, 64).at(share) for share in shares]
    assert 0.45 < np.mean(np.array(wide) < 32) < 0.55
    linear = OpenNumber("a", 200, 150, 150 * LOG_FROM - 1)
    assert linear.at(0.5) == pytest.approx((linear.low + linear.high) / 2, rel=0.01)
    assert OpenNumber("a", 0.8, 0.5, 0.95).at(0.123456) == 0.556  # three digits


def test_the_open_numbers_of_sat_are_those_assumed_with_a_range() -> None:
    machine = load_machine("sat", ["array.cols=64"])
    numbers = open_numbers(numbers_of(machine))
    paths = [each.path for each in numbers]
    assert {"array.rows", "vector.lanes", "dram.efficiency", "clock_mhz"} <= set(paths)
    assert not {"array.cols", "array.drains", "rtl.rows", "sore.lanes", "energy.table"} & set(
        paths
    )  # set, a switch, ...
    (overlap,) = (each for each in numbers if each.path == "schedule.overlap")  # words that are as open as numbers
    assert [overlap.setting(overlap.at(share)) for share in (0, 0.7)] == [
        "schedule.overlap=barriers",
        "schedule.overlap=overlap",
    ]
    assert sorted(path for move in moves_of(numbers) for path in (each.path for each in move.numbers)) == sorted(paths)
    assert [move.name for move in search_moves(numbers)[: len(paths)]] == paths
    assert "memory.west_kib and memory.north_kib and memory.output_kib" in [move.name for move in search_moves(numbers)]


@st.composite
def _energies(draw: st.DrawFn) -> tuple[Prices, Row]:
    count = draw(st.integers(1, 6))
    amounts = st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0, 10.0]), min_size=count, max_size=count)
    dense, sparse = draw(amounts), draw(amounts)
    sparse[0], dense[0] = 1.0, 2.0  # neither step is free
    low = np.array(draw(st.lists(st.floats(0.1, 5), min_size=count, max_size=count)))
    high = low * draw(st.sampled_from([1.0, 1.5, 8.0]))
    names = tuple(f"entry{number}" for number in range(count))
    row: Row = {f"{UNITS}{name}": each for name, each in zip(names, sparse, strict=True)}
    row |= {f"dense_{UNITS}{name}": each for name, each in zip(names, dense, strict=True)}
    return Prices(names, (low + high) / 2, low, high), row


@given(made=_energies(), sign=st.sampled_from([1, -1]))
def test_the_extreme_energy_ratio_is_that_of_the_best_corner(made: tuple[Prices, Row], sign: int) -> None:
    prices, row = made
    found, at = prices.extreme(row, sign)
    corners = itertools.product(*zip(prices.low, prices.high, strict=True))
    best = max(sign * prices.ratio(row, np.array(corner)) for corner in corners)
    assert sign * found == pytest.approx(best)
    assert prices.ratio(row, at) == pytest.approx(found)
    assert (at >= prices.low).all() and (at <= prices.high).all()


NUMBERS = tuple(OpenNumber(f"n{each}", 5, 0, 10) for each in range(4))
START: Point = (5, 5, 5, 5)


def _search(value: dict[Point, float] | None, most: int) -> tuple[dict[Goal, Point], bool, set[Point]]:
    seen: set[Point] = set()

    def run(points: object) -> bool:
        seen.update(points)  # type: ignore[arg-type]
        return len(seen) <= most

    def score(goal: Goal, point: Point) -> float:
        if value is not None and point in value:
            return goal.sign * value[point]
        return goal.sign * (point[0] - point[1] + 0.5 * (point[2] == 10 and point[3] == 10))

    at, ended = searched({UP: START, DOWN: START}, NUMBERS, [*search_moves(NUMBERS), Move(NUMBERS[2:])], run, score)
    return settled(at, NUMBERS, run, score), ended, seen


def test_a_search_finds_the_corner_also_where_two_numbers_help_only_together() -> None:
    at, ended, _ = _search(None, 1000)
    assert ended and at[UP] == (10, 0, 10, 10)
    assert at[DOWN] == (0, 10, 5, 5)  # a number that makes no difference stands as it did


def test_a_search_stops_at_its_limit() -> None:
    at, ended, seen = _search(None, 5)
    assert not ended and at[UP][1] == 5 and len(seen) > 5
    assert moved(START, NUMBERS, Move(NUMBERS[:1]), 1) == (10, 5, 5, 5)


@settings(max_examples=20)
@given(st.dictionaries(st.tuples(*[st.sampled_from([0, 5, 10])] * 4), st.floats(-50, 50), max_size=30))
def test_a_search_never_loses_what_it_had(value: dict[Point, float]) -> None:
    at, _, seen = _search(value, 1000)

    def worth(point: Point) -> float:
        return value.get(point, point[0] - point[1] + 0.5 * (point[2] == 10 and point[3] == 10))

    assert worth(at[UP]) >= worth(START) >= worth(at[DOWN])
    assert {at[UP], at[DOWN]} <= seen | {START}
