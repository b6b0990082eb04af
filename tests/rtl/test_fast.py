"""A PE a lane against Verilator's simulation of the whole array: the same sums, counters and cycles, run for run."""

import numpy as np
import pytest

from rtl.in_process import CompiledArray
from rtl.parameters import Parameters, make_parameters
from tests.rtl.cases import DEEP
from tests.rtl.chains import Streamed, random_stream, run_stream
from workloads.pattern import parse_pattern


def made(pattern: str, rows: int, cols: int, form: str, **more: int) -> Parameters:
    return make_parameters(parse_pattern(pattern), rows, cols, form, **more, **DEEP)


def both(p: Parameters, streams: int) -> int:
    """Tiles of so many streams, some with pauses, that gave the same in both simulations: all of them."""
    whole, lanes = CompiledArray(p, whole=True), CompiledArray(p, whole=False)
    rng, count = np.random.default_rng(5), 0
    for number in range(streams):
        tiles = [tile for tile, _ in random_stream(p, rng, 4)]
        gaps = (0, 0, 60)[number % 3]
        for one, other in zip(*(each.stream(tiles, gaps, number) for each in (whole, lanes)), strict=True):
            assert (one.counters, one.elapsed) == (other.counters, other.elapsed)
            np.testing.assert_array_equal(one.product, other.product)
            count += 1
    return count


@pytest.mark.parametrize(
    ("pattern", "rows", "cols", "form", "more"),
    [("2:8", 3, 2, "int8", {"accumulators": 6}), ("2:8", 2, 2, "fp16", {"accumulators": 6})],
)
def test_a_lane_a_pe_is_the_whole_array(pattern: str, rows: int, cols: int, form: str, more: dict[str, int]) -> None:
    assert both(made(pattern, rows, cols, form, **more), 9) > 50


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "side", "form"), [("2:8", 4, "fp16"), ("4:8", 6, "bf16"), ("2:16", 8, "int8"), ("2:8", 8, "fp16")]
)
def test_larger_ones_too(pattern: str, side: int, form: str) -> None:
    assert both(made(pattern, side, side, form), 12) > 60


@pytest.mark.slow
def test_two_hundred_tiles_of_the_largest() -> None:
    """32 x 32 FP16 against the golden model and the timing, back to back."""
    p, rng, found = made("2:8", 32, 32, "fp16"), np.random.default_rng(9), Streamed()
    array = CompiledArray(p)
    while found.tiles < 200:
        run_stream(array, random_stream(p, rng), found)
    print(found)
    assert found.differences == (0, 0, 0)
