"""Points of sweeps of resnet18 on SAT, in one process, nothing written: `make bench`. No time is asserted."""

from collections.abc import Callable
from typing import Any

import pytest

from simulator.kernel import load_kernel
from simulator.sweep.asked import from_grid
from simulator.sweep.checks import checked
from simulator.sweep.points import evaluate
from simulator.sweep.spec import expand

FOUR = "pattern=2:4,2:8,1:8,2:16"
SIXTEEN = ("array.rows=8..64:8", "dram.channels=2,4")
GRIDS = {
    "16 machines, one pattern": ("pattern=2:8", *SIXTEEN),
    "16 machines, four patterns": (FOUR, *SIXTEEN),
    "250 machines, four patterns": (FOUR, "array.rows=8..80:8", "array.cols=16..80:16", "dram.channels=1..5:1"),
}


@pytest.mark.bench
@pytest.mark.parametrize("grid", GRIDS)
def test_sweep(benchmark: Callable[..., Any], grid: str) -> None:
    spec = from_grid(("model=resnet18", *GRIDS[grid]), (), ())
    points = expand(spec, checked(spec))
    load_kernel()
    benchmark.pedantic(evaluate, (points,), rounds=3 if len(points) < 100 else 1)
    benchmark.extra_info["note"] = f"{len(points):,} points"
