"""Benchmark: `make bench`. Times are read, never asserted."""

from collections.abc import Callable
from typing import Any

import pytest

from reports.rates import bank_patterns, inference_step, rate
from simulator.arch.machine import load_machine
from simulator.kernel import load_kernel
from simulator.runs import Runs
from workloads.pattern import PatternMap, parse_pattern

pytestmark = pytest.mark.bench
Benchmark = Callable[..., Any]


@pytest.mark.parametrize("model", ["resnet50", "bert-large"])
def test_inference_on_s4_at_every_ratio(benchmark: Benchmark, model: str) -> None:
    """Planning and running inference at 1x to 32x; loading is left out."""
    machine, step = load_machine("s4"), inference_step(model, 16, 384 if model == "bert-large" else None)
    load_kernel()

    def study() -> None:
        runs = Runs()
        for pattern in bank_patterns(machine.spec.bank).values():
            rate(machine, step, PatternMap(parse_pattern(pattern)), runs)

    benchmark(study)
