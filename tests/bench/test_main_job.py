"""Steps on SAT: `make bench`. Times are read, never asserted."""

from collections.abc import Callable
from typing import Any

import pytest

from simulator.job import Job, Source
from simulator.result import Result
from simulator.runner import carry_out, prepare
from workloads.work import Work

pytestmark = pytest.mark.bench
Benchmark = Callable[..., Any]


def step(model: str, batch: int | None = None, exact: bool = False) -> Callable[[], Result]:
    """Planning and running a step, dense and 2:8, on SAT; loading is left out."""
    options = (("check_capacity", False),)
    asked = prepare(Job(Source("sat"), Work(model=model, batch=batch), ("2:8",), options=options, exact=exact))
    return lambda: carry_out(asked)


@pytest.mark.parametrize("model", ["resnet18", "resnet50", "bert-large"])
def test_step_on_sat(benchmark: Benchmark, model: str) -> None:
    benchmark(step(model))


@pytest.mark.parametrize("batch", [16, 256, 4096, 65536])
def test_step_of_resnet18_at_batch(benchmark: Benchmark, batch: int) -> None:
    benchmark(step("resnet18", batch))


@pytest.mark.parametrize("exact", [False, True], ids=["default", "exact"])
def test_step_of_resnet18_at_batch_16(benchmark: Benchmark, exact: bool) -> None:
    benchmark(step("resnet18", 16, exact))
