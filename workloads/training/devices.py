"""Where a run computes: on the CPU, or on a CUDA device where torch finds one."""

from collections.abc import Mapping

import torch
from torch import Tensor

from workloads.errors import UserError
from workloads.training.data import Batch, Inputs


def check_device(name: str) -> None:
    """Raises UserError for a device that is not there."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch finds no CUDA device here; leave it out to train on the CPU")


def on_device(batch: Batch, device: str) -> Batch:
    """A batch, moved."""
    inputs, targets = batch
    moved: Inputs = _moved(inputs, device)  # type: ignore[assignment]  # a container stays one
    return moved, None if targets is None else targets.to(device)


def _moved(value: object, device: str) -> object:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {name: _moved(each, device) for name, each in value.items()}
    return [_moved(each, device) for each in value] if isinstance(value, (tuple, list)) else value
