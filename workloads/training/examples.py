"""Examples to train on.

Which of them make up a step is a function of seed and step alone, so a run can go on anywhere.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from workloads.errors import UserError
from workloads.models.spec import Objective
from workloads.training.data import hide

Batch = tuple[Tensor, Tensor]
CHUNK = 1000  # images looked at together


class Examples(ABC):
    """Numbered examples."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def fetch(self, chosen: Tensor, generator: torch.Generator) -> Batch:
        """Inputs and targets of the examples with these numbers. Chance, where there is any, is the generator's."""


@final
@dataclass(frozen=True)
class Scaling:
    """How pixels become inputs: mean and deviation by channel, in units of the pixels, and the side of the image."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    side: int

    def applied(self, pixels: Tensor) -> Tensor:
        """pixels: (B, C, H, W) of any number format. Returns (B, 3, side, side)."""
        mean, deviation = (torch.tensor(each).view(-1, 1, 1) for each in (self.mean, self.deviation))
        x = (pixels.float() - mean) / deviation
        if x.shape[-2:] != (self.side, self.side):
            x = interpolate(x, (self.side, self.side), mode="bilinear", align_corners=False)
        return x.expand(-1, 3, -1, -1).contiguous()


def scaling_of(pixels: Tensor, side: int) -> Scaling:
    """The scaling that gives these images mean 0 and deviation 1 in every channel."""
    total = torch.zeros(2, pixels.shape[1], dtype=torch.float64)
    for part in torch.split(pixels, CHUNK):
        values = part.double()
        total += torch.stack([values.sum((0, 2, 3)), values.square().sum((0, 2, 3))])
    mean, square = total / (pixels.numel() / pixels.shape[1])
    deviation = (square - mean.square()).clamp(min=1e-12).sqrt()
    return Scaling(tuple(mean.tolist()), tuple(deviation.tolist()), side)


@final
@dataclass(frozen=True)
class Pictures(Examples):
    """Images in memory: pixels (N, C, H, W) in bytes, labels (N,)."""

    pixels: Tensor
    labels: Tensor
    scaling: Scaling

    def __len__(self) -> int:
        return len(self.labels)

    def fetch(self, chosen: Tensor, generator: torch.Generator) -> Batch:  # noqa: ARG002  nothing is left to chance
        return self.scaling.applied(self.pixels[chosen]), self.labels[chosen]


@final
@dataclass(frozen=True)
class Texts(Examples):
    """Windows of a text, one byte a token, side by side: (B, sequence) inputs and targets."""

    text: Tensor
    sequence: int
    objective: Objective

    def __len__(self) -> int:
        return max(0, len(self.text) - 1) // self.sequence

    def fetch(self, chosen: Tensor, generator: torch.Generator) -> Batch:
        window = self.text[chosen.unsqueeze(1) * self.sequence + torch.arange(self.sequence + 1)]
        if self.objective is Objective.NEXT:
            return window[:, :-1], window[:, 1:]
        return hide(window[:, :-1], generator)


def batch_at(examples: Examples, batch: int, seed: int, step: int) -> Batch:
    """The examples of a step, counted from 0: every epoch goes over all of them in an order of its own.

    What does not fill the last batch of an epoch is left out. Raises UserError for a batch larger than all there is.
    """
    epoch, place = divmod(step, steps_an_epoch(examples, batch))
    order = _order(len(examples), seed, epoch)
    return examples.fetch(order[place * batch : (place + 1) * batch], stream(seed, step, "examples"))


def in_order(examples: Examples, batch: int, seed: int) -> Iterator[Batch]:
    """All examples once, in their order."""
    for number, chosen in enumerate(torch.split(torch.arange(len(examples)), batch)):
        yield examples.fetch(chosen, stream(seed, number, "test"))


def steps_an_epoch(examples: Examples, batch: int) -> int:
    """Raises UserError where there are not enough examples for one batch."""
    if len(examples) < batch:
        raise UserError(f"--batch {batch}: there are only {len(examples)} examples to train on")
    return len(examples) // batch


@lru_cache(maxsize=2)
def _order(count: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(count, generator=stream(seed, epoch, "order"))


def stream(seed: int, number: int, what: str) -> torch.Generator:
    """A generator of its own for each purpose. Torch uses 32 bits of a seed, so all parts are mixed into those."""
    mixed = sha256(f"{seed}/{number}/{what}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(mixed[:4], "big"))
