"""What the zoo holds of a model: how it is built, small and with random weights, and what it is run on."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

Inputs = tuple[Tensor, ...] | dict[str, Tensor]
SEED = 0


@final
@dataclass(frozen=True)
class Entry:
    """`build` takes no arguments and downloads nothing; `inputs` gives a batch of the size it is asked for."""

    name: str
    build: Callable[[], nn.Module]
    inputs: Callable[[int], Inputs]

    def made(self, batch: int) -> tuple[nn.Module, Inputs]:
        """The model in training mode and its inputs, the same in every call."""
        torch.manual_seed(SEED)
        return self.build().train(), self.inputs(batch)


def images(side: int, channels: int = 3) -> Callable[[int], Inputs]:
    """Inputs of (B, channels, side, side)."""
    return numbers(channels, side, side)


def numbers(*sizes: int) -> Callable[[int], Inputs]:
    """Inputs of (B, *sizes)."""
    return lambda batch: (torch.randn(batch, *sizes),)


def step(model: nn.Module, inputs: Inputs) -> None:
    """The step that is recorded and counted: forward, the loss, backward."""
    output = model(**inputs) if isinstance(inputs, dict) else model(*inputs)
    loss_of(output).backward()  # type: ignore[no-untyped-call]


def loss_of(output: object) -> Tensor:
    """The sum of squares of the tensor that matters in an output: its loss, else its logits, else the first one with a
    gradient."""
    for name in ("loss", "logits"):
        found = output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)
        if isinstance(found, Tensor):
            return _squares(found)
    return _squares(next(each for each in _tensors(output) if each.requires_grad))


def _squares(tensor: Tensor) -> Tensor:
    return (tensor.abs() if tensor.is_complex() else tensor.float()).square().sum()


def _tensors(output: object) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        yield from _tensors(tuple(output.values()))
    elif isinstance(output, (tuple, list)):
        for each in output:
            yield from _tensors(each)
