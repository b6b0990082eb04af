"""Groups of values through a lane of SORE, held against the golden model."""

import numpy as np

from rtl.formats import Format
from rtl.golden.sore import packed
from tests.rtl.flow import Flow
from tests.rtl.vectors import biased, corners


def check_groups(flow: Flow, form: Format, keep: int, m: int, values: np.ndarray, gaps: int = 0, waits: int = 0) -> int:
    """Run groups of m, the last one perhaps shorter; returns cycles."""
    ends = np.arange(len(values)) % m == m - 1
    ends[-1] = True
    wanted = dict(zip(("value", "index", "last"), packed(values, form, keep, m), strict=True))
    made, cycles = flow.run({"value": values, "last": ends}, len(wanted["value"]), gaps, waits, seed=len(values))
    for name, each in made.items():
        np.testing.assert_array_equal(each, wanted[name], name)
    return cycles


def mixed(form: Format, count: int, seed: int) -> np.ndarray:
    """Random values, among them many alike, so that ties are frequent, and every class of number."""
    rng = np.random.default_rng(seed)
    alike = rng.choice(corners(form)[rng.integers(0, len(corners(form)), 4)], count)
    return np.choose(rng.integers(0, 3, count), [biased(form, count, rng), alike, rng.choice(corners(form), count)])
