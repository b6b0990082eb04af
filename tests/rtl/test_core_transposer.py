"""The transposer turns blocks as numpy does, a word in and a word out every cycle, whatever commands follow."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from rtl.core.transposer import Transposer, Turning, turned, turned_latency
from rtl.verilate import Compiled
from tests.rtl.core_engines import RAW_BITS, SHAPE, Order, Seen, carried_out, compare, on_bench, random_walks
from workloads.errors import UserError


@cache
def bench(side: int) -> Compiled:
    return on_bench(Transposer(side, SHAPE, RAW_BITS))


def wanted_of(side: int, raw: np.ndarray, made: list[tuple[Turning, Order]]) -> tuple[Seen, np.ndarray]:
    """What should be seen, and the cycles in which the raw memory has to be asked."""
    ends = np.array([order.start + turning.ticks - 1 for turning, order in made])
    reads = np.concatenate([order.start + np.arange(turning.beats) for turning, order in made])
    addresses = np.concatenate([turning.raw + np.arange(turning.beats) for turning, _ in made])
    asked = np.zeros(reads[-1] + 1, np.int64)
    asked[reads] = addresses
    writes = reads + turned_latency(side)  # word i of a command leaves so long after word i came in
    places = np.concatenate([order.places for _, order in made])
    return Seen(ends, ends + turned_latency(side), writes, places, turned(raw[addresses], side), asked), reads


def random_commands(side: int, gaps: bool, rng: np.random.Generator) -> list[tuple[Turning, Order]]:
    made, start = [], 3
    for _ in range(60):
        beats = side * int(rng.integers(1, 9))
        turning = Turning(int(rng.integers((1 << RAW_BITS) - beats + 1)), beats)
        made.append((turning, Order(start, turning.bits(side, RAW_BITS), random_walks(rng, beats))))
        start += turning.ticks + (int(rng.choice([0, 1, 2, 3, 4, 5, 20])) if gaps else 0)
    return made


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("side", [pytest.param(2, marks=pytest.mark.slow), 4])
def test_blocks_are_turned_and_nothing_waits(side: int, gaps: bool) -> None:
    rng = np.random.default_rng(side)
    raw = rng.integers(0, 1 << 64, 1 << RAW_BITS, np.uint64)
    made = random_commands(side, gaps, rng)
    wanted, reads = wanted_of(side, raw, made)
    seen = carried_out(bench(side), raw, [order for _, order in made])
    compare(seen, wanted, reads)
    if not gaps:
        assert (np.diff(seen.writes) == 1).all()


def test_the_comparison_notices_whatever_is_wrong() -> None:
    rng = np.random.default_rng(9)
    raw = rng.integers(0, 1 << 64, 1 << RAW_BITS, np.uint64)
    made = random_commands(4, True, rng)[:6]
    seen = carried_out(bench(4), raw, [order for _, order in made])
    compare(seen, *wanted_of(4, raw, made))
    raw[made[3][0].raw + 1] ^= np.uint64(1 << 63)
    wrong = [wanted_of(4, raw, made)]
    raw[made[3][0].raw + 1] ^= np.uint64(1 << 63)
    right, reads = wanted_of(4, raw, made)
    for name in ("ends", "filled", "writes", "places", "asked"):
        changed = getattr(right, name).copy()
        changed.reshape(-1)[reads[5] if name == "asked" else 1] += 1
        wrong.append((replace(right, **{name: changed}), reads))
    for each in wrong:
        with pytest.raises(AssertionError):
            compare(seen, *each)


def test_an_example_of_a_block() -> None:
    lines = np.array([0x0002_0001, 0x0004_0003], np.uint64)
    assert [hex(word) for word in turned(lines, 2)] == ["0x30001", "0x40002"]


def test_what_is_no_row_of_blocks_is_refused() -> None:
    with pytest.raises(UserError, match="6 words are no whole blocks of 4"):
        Turning(0, 6).bits(4, RAW_BITS)
    with pytest.raises(UserError, match="8 words from 1020 on are beyond a raw memory of 1024"):
        Turning(1020, 8).bits(4, RAW_BITS)
