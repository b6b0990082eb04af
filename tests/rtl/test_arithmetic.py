"""Multipliers and adders against the processor's own arithmetic, bit for bit."""

import numpy as np
import pytest

from rtl.formats import BF16, FP16, FP32, INT8, INT32, Format
from rtl.golden.units import add, multiply
from rtl.multiply_add import Adder, Multiplier
from rtl.verilate import compiled
from tests.rtl.vectors import biased, corners, pairs

PRODUCTS = [(Multiplier, multiply, form, latency) for form, latency in ((FP16, 0), (FP16, 2), (BF16, 3), (INT8, 1))]
SUMS = [(Adder, add, form, latency) for form, latency in ((FP32, 0), (FP32, 4), (INT32, 1))]


@pytest.mark.parametrize(("block", "golden", "form", "latency"), PRODUCTS + SUMS)
def test_results_are_those_of_the_golden_model(block: type, golden: object, form: Format, latency: int) -> None:
    """All pairs of corners, random ones, and a clock enable that stops the pipeline at random."""
    rng = np.random.default_rng(latency)
    left, right = pairs(corners(form))
    left = np.concatenate([left, biased(form, 200_000, rng)])
    right = np.concatenate([right, biased(form, 200_000, rng)])
    enable = rng.integers(0, 4, len(left) + 2 * latency) > 0
    enable[-2 * latency - 1 :] = True
    step = np.cumsum(enable) - enable  # how many pairs have entered before each cycle
    unit = compiled(block(form, latency))
    fed = np.minimum(step, len(left) - 1)
    seen = unit.run(a=left[fed], b=right[fed], en=enable)["p"]
    shown = (step >= latency) & (step - latency < len(left))
    wanted = golden(left, right, form)[step[shown] - latency]
    np.testing.assert_array_equal(seen[shown], wanted)
    assert shown.sum() > 0.9 * len(left)
