"""The SORE lanes keep what the golden model keeps, in the cycles that they are said to take."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

from rtl.core.runs import Sorting, sorting_layout
from rtl.core.sorting import Sorter, sorted_core_latency, sorted_weights
from rtl.formats import BF16, FP16, FloatFormat
from rtl.lanes import SoreParameters
from rtl.verilate import Compiled
from tests.rtl.core_engines import RAW_BITS, SHAPE, Order, Seen, carried_out, compare, on_bench, random_walks
from tests.rtl.lanes import mixed
from workloads.errors import UserError


@dataclass(frozen=True)
class Lanes:
    """SORE lanes of a size, and what should be seen of them."""

    form: FloatFormat
    lanes: int
    n: int
    m: int

    def __str__(self) -> str:
        return f"{self.lanes} x {self.form.name} {self.n}:{self.m}"

    @property
    def parameters(self) -> SoreParameters:
        return SoreParameters(self.form, self.n, self.m)

    def bits(self, sorting: Sorting) -> int:
        return sorting.bits(sorting_layout(self.parameters, RAW_BITS, SHAPE.turn_bits))

    def ports(self, sorting: Sorting, words: np.ndarray) -> np.ndarray:
        """What the port shows: value and index of each lane, those of the first one lowest."""
        values, indices = sorted_weights(sorting, words, self.form, self.lanes, self.m)
        weights = values.astype(object) | indices.astype(object) << self.form.bits
        return (weights << np.arange(self.lanes) * (self.form.bits + self.parameters.index_bits)).sum(axis=1)


CASES = (Lanes(FP16, 4, 2, 8), Lanes(BF16, 3, 5, 12), Lanes(FP16, 1, 1, 4))


@cache
def bench(case: Lanes) -> Compiled:
    return on_bench(Sorter(case.form, case.lanes, case.n, case.m, SHAPE, RAW_BITS))


def raw_words(case: Lanes, seed: int) -> np.ndarray:
    """Words of every class of number, with many ties."""
    return mixed(case.form, 4 << RAW_BITS, seed).astype("<u2").view("<u8").astype(np.uint64)


def windows(sorting: Sorting) -> Iterator[tuple[int, int, int]]:
    """Of every run: its elements, the values that are written, the cycle after its last one."""
    after = 0
    for size in sorting.runs():
        after += max(size, sorting.written(size))
        yield size, sorting.written(size), after


def wanted_of(case: Lanes, raw: np.ndarray, made: list[tuple[Sorting, Order]]) -> tuple[Seen, np.ndarray]:
    """What should be seen, and the cycles in which the raw memory has to be asked."""
    ends, filled, reads, writes, addresses, data = ([] for _ in range(6))
    for sorting, order in made:
        latency = sorted_core_latency(sorting.leaves)
        for size, written, after in windows(sorting):
            reads += range(order.start + after - size, order.start + after)
            writes += range(order.start + after + latency - written, order.start + after + latency)
        ends.append(order.start + sorting.ticks - 1)
        filled.append(ends[-1] + latency)
        addresses += sorting.addresses.tolist()
        data.append(case.ports(sorting, raw[sorting.addresses]))
    asked = np.zeros(reads[-1] + 1, np.int64)
    asked[reads] = addresses
    places = np.concatenate([order.places for _, order in made])
    columns = (np.array(ends), np.array(filled), np.array(writes), places, np.concatenate(data), asked)
    return Seen(*columns), np.array(reads)


def random_sorting(case: Lanes, rng: np.random.Generator) -> Sorting:
    size = int(rng.choice([case.m, rng.integers(1, case.m + 1)]))
    full = int(rng.integers(4))
    keep = int(rng.choice([case.n, rng.integers(1, case.n + 1)]))
    return Sorting(
        raw=int(rng.integers(100)),
        keep=keep,
        size=size,
        full=full,
        tail=int(rng.integers(0 if full else 1, size + 1)),
        segments=int(rng.integers(1, 4)),
        blocks=int(rng.integers(1, 4)),
        pad=bool(rng.integers(2)),
        step=int(rng.choice([1, 1, 2])),
        columns=int(rng.choice([4, rng.integers(1, 5)])),
        late=int(rng.choice([0, rng.integers(keep, case.n + 1)])),
    )


def random_commands(case: Lanes, count: int, gaps: bool, rng: np.random.Generator) -> list[tuple[Sorting, Order]]:
    made, start, before = [], 2, 0
    while len(made) < count:
        sorting = random_sorting(case, rng)
        if sorting.leaves < before:  # this one has to wait until that one is filled
            start += sorted_core_latency(before) - 1
        start += int(rng.choice([0, 1, 2, 3, 4, 5, 20])) if gaps else 0
        made.append((sorting, Order(start, case.bits(sorting), random_walks(rng, sorting.writes))))
        start, before = start + sorting.ticks, sorting.leaves
    return made


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize(
    "case", [CASES[0], *(pytest.param(each, marks=pytest.mark.slow) for each in CASES[1:])], ids=str
)
def test_commands_of_all_kinds_follow_each_other(case: Lanes, gaps: bool) -> None:
    rng = np.random.default_rng(case.m + gaps)
    raw = raw_words(case, case.m)
    made = random_commands(case, 80, gaps, rng)
    seen = carried_out(bench(case), raw, [order for _, order in made])
    compare(seen, *wanted_of(case, raw, made))


@pytest.mark.parametrize("pad", [False, True])
def test_runs_of_one_value_after_long_ones(pad: bool) -> None:
    """Most is on its way when short runs follow long ones, command after command."""
    case = CASES[0]
    rng = np.random.default_rng(5)
    raw, made, start = raw_words(case, 5), [], 1
    for number in range(60):
        sorting = Sorting(number, case.n, case.m, number % 3, 1 + number % 2, number % 4 + 1, 2 + number % 2, pad)
        made.append((sorting, Order(start, case.bits(sorting), random_walks(rng, sorting.writes))))
        start += sorting.ticks
    compare(carried_out(bench(case), raw, [order for _, order in made]), *wanted_of(case, raw, made))


def test_the_comparison_notices_whatever_is_wrong() -> None:
    case = CASES[0]
    raw, made = raw_words(case, 1), random_commands(case, 6, True, np.random.default_rng(9))
    seen = carried_out(bench(case), raw, [order for _, order in made])
    right, reads = wanted_of(case, raw, made)
    compare(seen, right, reads)
    for name in ("ends", "filled", "writes", "places", "data", "asked"):
        changed = getattr(right, name).copy()
        changed.reshape(-1)[reads[5] if name == "asked" else 1] += 1
        with pytest.raises(AssertionError, match=name):
            compare(seen, replace(right, **{name: changed}), reads)


def test_ticks_and_what_fills_up_in_an_example() -> None:
    command = Sorting(0, keep=2, size=4, full=1, tail=1, segments=1, blocks=2, pad=True)
    assert (command.beats, command.writes, command.ticks) == (10, 8, 12)
    assert replace(command, pad=False).writes == 6
    assert replace(command, pad=False).ticks == 10
    values, indices = sorted_weights(command, np.arange(10, dtype=np.uint64), FP16, 1, 8)
    assert values[:, 0].tolist() == [2, 3, 6, 7, 8, 0x8000, 9, 0x8000]
    assert indices[:, 0].tolist() == [2, 3, 2, 3, 0, 1, 0, 1]
    assert sorted_weights(command, np.arange(10, dtype=np.uint64), FP16, 1, 4)[1].max() == 3


def test_what_hardware_cannot_count_to_is_refused() -> None:
    case = CASES[0]
    with pytest.raises(UserError, match="'size' of 16 is more than the SORE lanes can count to"):
        case.bits(Sorting(0, 2, 16))
    with pytest.raises(UserError, match="the SORE lanes have nothing to do"):
        case.bits(Sorting(0, 2, 8, full=0))
    with pytest.raises(UserError, match="8 words from 1020 on are beyond the raw memory"):
        case.bits(Sorting(1020, 2, 8))


def test_words_of_a_command_may_lie_apart() -> None:
    assert Sorting(5, 2, 8, step=3).addresses.tolist() == [5, 6, 7, 16, 17, 18, 19, 28]
