"""What a method and a recording add to a training step, in pairs: rounds of one step of each, one after the other."""

import statistics
from collections.abc import Callable, Sequence
from time import perf_counter, process_time

import pytest
import torch

from workloads.methods.base import Method
from workloads.methods.bdwp import BDWP
from workloads.methods.dense import DENSE_TRAINING
from workloads.models.spec import ModelSpec
from workloads.pattern import parse_patterns
from workloads.registry import load_entry
from workloads.training.loop import Recipe, Training
from workloads.training.updates import Momentum

pytestmark = pytest.mark.bench
BATCH = 128
ROUNDS = {64: 15, 224: 6}


def training(method: Method, image: int) -> Training:
    spec: ModelSpec = load_entry("sparsehil.models", "model", "resnet18")
    torch.manual_seed(0)
    patterns = parse_patterns(["2:8"])
    return Training(spec.build(classes=1000, image=image), Recipe(method, patterns, spec.kept_dense, Momentum(0.01, 0)))


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """(wall, CPU) time; the CPU's is less disturbed by what else runs."""
    wall, cpu = perf_counter(), process_time()
    work()
    return perf_counter() - wall, process_time() - cpu


def turn(work: Sequence[Callable[[], object]], number: int) -> list[tuple[float, float]]:
    """One step of each; another begins every time, since one pays for the memory that the one before gave back."""
    first = number % len(work)
    times = [seconds(each) for each in (*work[first:], *work[:first])]
    return [*times[len(work) - first :], *times[: len(work) - first]]


@pytest.mark.parametrize("image", ROUNDS)
def test_what_bdwp_and_recording_add(image: int, capsys: pytest.CaptureFixture[str]) -> None:
    batch = (torch.randn(BATCH, 3, image, image), torch.randint(1000, (BATCH,)))
    dense, bdwp, recorded = (training(method, image) for method in (DENSE_TRAINING, BDWP, BDWP))
    work = (lambda: dense.run_step(batch), lambda: bdwp.run_step(batch), lambda: recorded.record_step(batch))
    for each in work:
        each()
    rounds = [turn(work, number) for number in range(ROUNDS[image])]
    with capsys.disabled():
        for clock, kind in enumerate(("wall", "CPU")):
            steps = [[times[clock] for times in row] for row in rounds]
            print(f"\n{image} x {image}, {torch.get_num_threads()} threads, {kind} time: "
                  f"bdwp / dense {ratio(steps, 1, 0)}; recorded bdwp / bdwp {ratio(steps, 2, 1)}")  # fmt: skip


def ratio(steps: list[list[float]], over: int, under: int) -> str:
    """Median, smallest and largest of the rounds' ratios, and what they are ratios of."""
    found = sorted(times[over] / times[under] for times in steps)
    base = statistics.median(times[under] for times in steps)
    return f"{statistics.median(found):.2f} ({found[0]:.2f} to {found[-1]:.2f}, {len(found)} rounds) of {base:.2f} s"
