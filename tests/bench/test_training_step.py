"""What a method and a recording add to a training step of resnet18, in pairs: `make bench`."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.bench.pairs import benchmark_beside
from workloads.methods.base import Method
from workloads.methods.bdwp import BDWP
from workloads.methods.dense import DENSE_TRAINING
from workloads.models.spec import ModelSpec
from workloads.pattern import parse_patterns
from workloads.registry import load_entry
from workloads.training.loop import Recipe, Training
from workloads.training.updates import Momentum

BATCH = 128
ROUNDS = {64: 15, 224: 3}


def training(method: Method, image: int) -> Training:
    spec: ModelSpec = load_entry("sparsehil.models", "model", "resnet18")
    torch.manual_seed(0)
    patterns = parse_patterns(["2:8"])
    return Training(spec.build(classes=1000, image=image), Recipe(method, patterns, spec.kept_dense, Momentum(0.01, 0)))


@pytest.mark.bench
@pytest.mark.parametrize("image", ROUNDS, ids="{0} x {0}".format)
@pytest.mark.parametrize("recorded", [False, True], ids=["with bdwp", "recorded, with bdwp"])
def test_training_step_of_resnet18(benchmark: Any, recorded: bool, image: int) -> None:
    batch = (torch.randn(BATCH, 3, image, image), torch.randint(1000, (BATCH,)))
    bdwp, other = training(BDWP, image), training(BDWP if recorded else DENSE_TRAINING, image)
    work: Callable[..., object] = bdwp.record_step if recorded else bdwp.run_step
    words = "one that is not recorded" if recorded else "dense"
    benchmark_beside(benchmark, lambda: work(batch), lambda: other.run_step(batch), words, ROUNDS[image])
