"""What a method and a recording add to a training step, in pairs: rounds of one step of each, one after the other."""

import statistics
from collections.abc import Callable
from time import perf_counter

import pytest
import torch

from workloads.methods.base import Method
from workloads.methods.bdwp import Bdwp
from workloads.methods.dense import Dense
from workloads.models.spec import ModelSpec
from workloads.pattern import parse_patterns
from workloads.registry import load_entry
from workloads.training.loop import Recipe, Training
from workloads.training.updates import Momentum

pytestmark = pytest.mark.bench
BATCH = 128
ROUNDS = {64: 9, 224: 2}


def training(method: Method, image: int) -> Training:
    spec: ModelSpec = load_entry("sparsehil.models", "model", "resnet18")
    torch.manual_seed(0)
    patterns = parse_patterns(["2:8"])
    return Training(spec.build(classes=1000, image=image), Recipe(method, patterns, spec.kept_dense, Momentum(0.01, 0)))


def seconds(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


@pytest.mark.parametrize("image", ROUNDS)
def test_what_bdwp_and_recording_add(image: int, capsys: pytest.CaptureFixture[str]) -> None:
    batch = (torch.randn(BATCH, 3, image, image), torch.randint(1000, (BATCH,)))
    dense, bdwp, recorded = (training(method, image) for method in (Dense(), Bdwp(), Bdwp()))
    work = (lambda: dense.run_step(batch), lambda: bdwp.run_step(batch), lambda: recorded.record_step(batch))
    for each in work:
        each()
    rounds = [[seconds(each) for each in work] for _ in range(ROUNDS[image])]
    for name, over, under in (("bdwp / dense", 1, 0), ("recorded bdwp / bdwp", 2, 1)):
        ratios = sorted(times[over] / times[under] for times in rounds)
        whole = f"{statistics.median(times[under] for times in rounds):.2f} s"
        with capsys.disabled():
            print(f"\n{image} x {image}, {torch.get_num_threads()} threads: {name} {statistics.median(ratios):.2f}x "
                  f"({ratios[0]:.2f} to {ratios[-1]:.2f}, {len(ratios)} rounds) of {whole}")  # fmt: skip
