"""Benchmarks of sweeps and of large steps: `make bench`. Times are read, never asserted."""

from collections.abc import Callable
from time import process_time
from typing import Any

import pytest

from simulator.kernel import load_kernel
from simulator.sweep.asked import from_grid
from simulator.sweep.checks import checked
from simulator.sweep.points import evaluate
from simulator.sweep.spec import expand

pytestmark = [pytest.mark.bench, pytest.mark.benchmark(timer=process_time)]
PATTERNS = "pattern=2:4,2:8,1:8,2:16"


@pytest.mark.parametrize("grid", [(PATTERNS,), ("pattern=2:8",)], ids=["four patterns a machine", "one"])
def test_points(benchmark: Callable[..., Any], grid: tuple[str, ...]) -> None:
    """Sixteen machines in one process, without writing."""
    spec = from_grid((*grid, "model=resnet18", "array.rows=8..64:8", "dram.channels=2,4"), (), ())
    points = expand(spec, checked(spec))
    load_kernel()
    benchmark.pedantic(evaluate, (points,), rounds=1)
    benchmark.extra_info["points"] = len(points)


def test_a_thousand_points(benchmark: Callable[..., Any]) -> None:
    """250 machines, four patterns each, in one process, without writing."""
    spec = from_grid(
        (PATTERNS, "model=resnet18", "array.rows=8..80:8", "array.cols=16..80:16", "dram.channels=1..5:1"), (), ()
    )
    points = expand(spec, checked(spec))
    load_kernel()
    benchmark.pedantic(evaluate, (points,), rounds=1)
    benchmark.extra_info["points"] = len(points)
