"""Benchmarks: `make bench`. Times are read, never asserted."""

from collections.abc import Callable
from typing import Any

import pytest

from simulator.cli.choices import Choices
from simulator.cli.job import Job, simulate_step
from simulator.cli.work import load_workload
from simulator.machine import load_arch
from workloads.pattern import parse_patterns

pytestmark = pytest.mark.bench
Benchmark = Callable[..., Any]


def step(model: str, batch: int | None = None, exact: bool = False) -> Callable[[], Job]:
    """Planning and running a step, dense and 2:8, on SAT; loading is left out."""
    choices = Choices("sat", ("2:8",), "bdwp", model=model, batch=batch, exact=exact, check_capacity=False)
    workload, arch, patterns = load_workload(choices), load_arch("sat"), parse_patterns(["2:8"])
    return lambda: simulate_step(workload, patterns, arch, choices, [])


@pytest.mark.parametrize("model", ["resnet18", "resnet50", "bert-large"])
def test_main_job(benchmark: Benchmark, model: str) -> None:
    benchmark(step(model))


@pytest.mark.parametrize("batch", [16, 256, 4096, 65536])
def test_batch(benchmark: Benchmark, batch: int) -> None:
    benchmark(step("resnet18", batch))


@pytest.mark.parametrize("exact", [False, True], ids=["default", "exact"])
def test_exact_against_default(benchmark: Benchmark, exact: bool) -> None:
    benchmark(step("resnet18", 16, exact))
