"""Beside the benchmarks of a run stands a yardstick: what the same fixed work takes before and after each of them."""

import os
import statistics
from collections.abc import Iterator
from time import process_time

import numpy as np
import pytest

SECONDS = 1.0  # before a benchmark, and after it: twenty to fifty times the work


def fixed_work() -> int:
    """Plain Python, and a quarter of the time numpy. Whoever changes it measures everything again."""
    seen, value = dict[int, int](), 1
    for _ in range(60_000):
        value = value * 48_271 % 2_147_483_647
        seen[value % 4_096] = seen.get(value % 4_096, 0) + value
    numbers = np.arange(150_000, dtype=np.int64) * 48_271 % 2_147_483_647
    order = np.argsort(numbers)
    return max(seen.values()) + int(numbers[order].cumsum()[-1])


def _times() -> list[float]:
    """CPU seconds of the work, again and again."""
    found = list[float]()
    while sum(found) < SECONDS:
        began = process_time()
        fixed_work()
        found.append(process_time() - began)
    return found


@pytest.fixture(autouse=True)
def yardstick(request: pytest.FixtureRequest) -> Iterator[None]:
    """Notes with a benchmark how long the yardstick took, and the machine's load when the benchmark began.

    The mean, not the median: what else runs makes the work twice as long or not at all, and a benchmark sees both.
    """
    if "benchmark" not in request.fixturenames:
        yield
        return
    noted, load = request.getfixturevalue("benchmark").extra_info, os.getloadavg()[0]
    before = _times()
    yield
    noted["yardstick"] = statistics.mean(before + _times())
    noted["load"] = load
