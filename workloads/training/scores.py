"""How many targets a model gets right: of a batch, and of a test set."""

import torch
from torch import Tensor

from workloads.models.loss import IGNORED
from workloads.training.data import Examples, in_order
from workloads.training.devices import on_device
from workloads.training.loop import Training, called
from workloads.training.own import logits_of


def hits(logits: Tensor | None, targets: Tensor | None) -> tuple[int, int]:
    """How many targets are the largest logit, of how many that count; none where targets are no classes."""
    if targets is None or targets.is_floating_point() or logits is None or logits.shape[:-1] != targets.shape:
        return 0, 0
    counts = targets != IGNORED
    return int(((logits.argmax(-1) == targets) & counts).sum()), int(counts.sum())


@torch.no_grad()
def tested_hits(training: Training, examples: Examples | None, batch: int, seed: int, device: str) -> tuple[int, int]:
    """The same over a test set, of no test where there is none."""
    if examples is None:
        return 0, 0
    training.model.eval()
    moved = (on_device(each, device) for each in in_order(examples, batch, seed))
    with training.engine.products(any_rows=True):
        found = [hits(logits_of(called(training.model, inputs)), targets) for inputs, targets in moved]
    training.model.train()
    return sum(right for right, _ in found), sum(counted for _, counted in found)
