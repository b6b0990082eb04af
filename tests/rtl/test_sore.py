"""SORE against the masks that training uses, ties, NaNs, short groups and all; and what it refuses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtl.formats import FP16, FP32, INT8, Format, decode, encode
from rtl.golden.units import packed
from rtl.lanes import SoreParameters
from rtl.sore import Sore
from rtl.timing import sorted_latency
from tests.rtl.flow import Flow
from tests.rtl.lanes import check_groups, mixed
from workloads.errors import UserError
from workloads.masks import group_mask
from workloads.pattern import parse_pattern

_BLOCKS: dict[tuple[str, int, int, int], Flow] = {}


def lane(form: Format, n: int, m: int, keep: int) -> Flow:
    key = form.name, n, m, keep
    if key not in _BLOCKS:
        _BLOCKS[key] = Flow(Sore(SoreParameters(form, n, m)), keep=keep)
    return _BLOCKS[key]


def check(form: Format, shape: tuple[int, int, int], m: int, values: np.ndarray, gaps: int = 0, waits: int = 0) -> int:
    """Run groups of m through a lane made for `shape` (n, largest m, keep); returns cycles."""
    n, largest, keep = shape
    return check_groups(lane(form, n, largest, keep), form, keep, m, values, gaps, waits)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8), st.integers(1, 16), st.integers(0, 200), st.integers(0, 200), st.integers(1, 300))
def test_any_pattern_with_gaps_and_waits(keep: int, m: int, gaps: int, waits: int, count: int) -> None:
    check(FP16, (8, 16, keep), m, mixed(FP16, count, count), gaps, waits)


@pytest.mark.parametrize(("form", "n", "m"), [(FP16, 2, 8), (INT8, 4, 64)])
def test_a_lane_takes_a_value_every_cycle(form: Format, n: int, m: int) -> None:
    count = 3000 * m
    assert check(form, (n, m, n), m, mixed(form, count, 1)) == count + sorted_latency(n)


def test_kept_values_are_those_of_the_training_mask() -> None:
    """The golden model's own answer is the mask of the pattern; integers rank by their absolute value."""
    for form, text in ((FP16, "2:8"), (FP32, "3:16")):
        values = mixed(form, 4096, 3)
        floats = values.view(np.float16 if form is FP16 else np.float32)
        pattern = parse_pattern(text)
        where = np.flatnonzero(group_mask(floats, pattern, 0))
        np.testing.assert_array_equal(packed(values, form, pattern.n, pattern.m)[0], values[where])
    integers = encode(np.array([1, -128, 127, -127, 5, -5, 5, 4]), INT8)
    assert decode(packed(integers, INT8, 2, 8)[0], INT8).tolist() == [-128, 127]
    assert packed(integers[4:], INT8, 2, 4)[1].tolist() == [0, 1]


def test_impossible_lanes_are_refused() -> None:
    with pytest.raises(UserError, match=r"SORE: 5:4 is no pattern; n must be from 1 to m"):
        SoreParameters(FP16, 5, 4)
    with pytest.raises(UserError, match="groups of 64 fp16 values are too large; m must be at most 32"):
        SoreParameters(FP16, 2, 64)
