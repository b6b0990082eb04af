"""Benchmark: `make bench`. Times are read, never asserted."""

from collections.abc import Callable
from typing import Any

import pytest

from dataflows.s4.banks import RATIOS
from simulator.cli.inference import inference_step, rate
from simulator.kernel.maxplus import load_kernel
from simulator.machine import load_arch
from simulator.schedule import Runs
from workloads.pattern import PatternMap, parse_pattern

pytestmark = pytest.mark.bench
Benchmark = Callable[..., Any]


@pytest.mark.parametrize("model", ["resnet50", "bert-large"])
def test_every_ratio_on_s4(benchmark: Benchmark, model: str) -> None:
    """Planning and running inference at 1x to 32x; loading is left out."""
    arch, step = load_arch("s4"), inference_step(model, 16, 384 if model == "bert-large" else None)
    load_kernel()

    def study() -> None:
        runs = Runs()
        for ratio in RATIOS:
            rate(arch, step, PatternMap(parse_pattern(f"{arch.spec.bank // ratio}:{arch.spec.bank}")), runs)

    benchmark(study)
