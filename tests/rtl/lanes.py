"""Groups of values through a lane of SORE, held against the golden model."""

import numpy as np

from rtl.formats import Format
from rtl.golden.units import packed
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
    """Random values: of every class, many alike, so that ties are frequent, many that differ in one bit or two."""
    rng = np.random.default_rng(seed)
    alike = rng.choice(corners(form)[rng.integers(0, len(corners(form)), 4)], count)
    flips = (1 << rng.integers(0, form.bits, (2, count))).astype(alike.dtype)
    close = np.repeat(biased(form, count // 24 + 1, rng), 24)[:count] ^ flips[0] ^ flips[1]
    choices = [biased(form, count, rng), alike, rng.choice(corners(form), count), close]
    return np.choose(rng.choice([0, 1, 2, 3], p=[0.2, 0.2, 0.1, 0.5], size=count), choices)
