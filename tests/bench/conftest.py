"""Beside every benchmark stands a yardstick: what the same fixed work takes right before and right after it."""

import os
import statistics
from collections.abc import Iterator
from time import process_time

import numpy as np
import pytest

ROUNDS = 5  # before a benchmark, and after it


def fixed_work() -> int:
    """About as much plain Python as numpy, 30 ms on a machine of 2021. Whoever changes it measures everything again."""
    seen, value = dict[int, int](), 1
    for _ in range(60_000):
        value = value * 48_271 % 2_147_483_647
        seen[value % 4_096] = seen.get(value % 4_096, 0) + value
    numbers = np.arange(150_000, dtype=np.int64) * 48_271 % 2_147_483_647
    order = np.argsort(numbers)
    return max(seen.values()) + int(numbers[order].cumsum()[-1])


def _seconds() -> float:
    began = process_time()
    fixed_work()
    return process_time() - began


@pytest.fixture(autouse=True)
def yardstick(request: pytest.FixtureRequest) -> Iterator[None]:
    """Notes with a benchmark the median of the yardstick's times, and the machine's load when it began."""
    if "benchmark" not in request.fixturenames:
        yield
        return
    noted, load = request.getfixturevalue("benchmark").extra_info, os.getloadavg()[0]
    before = [_seconds() for _ in range(ROUNDS)]
    yield
    noted["yardstick"] = statistics.median(before + [_seconds() for _ in range(ROUNDS)])
    noted["load"] = load
