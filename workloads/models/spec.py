"""What a registered model says about itself. Torch is imported only when one is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from workloads.errors import UserError
from workloads.op import Optimizer

if TYPE_CHECKING:
    from torch import nn


class DataKind(StrEnum):
    IMAGES = "images"
    BYTES = "bytes"  # text, one byte a token
    OWN = "examples of the user's own"


class Objective(StrEnum):
    CLASSIFY = "classify"  # one label an image
    NEXT = "next"  # the token after each token
    MASKED = "masked"  # the tokens that were hidden


@dataclass(frozen=True)
class Sizes:
    """What may be changed when a model is built: `width` scales channels, `image` is in pixels a side.

    `classes` is the number of labels, or of tokens in the vocabulary; `sequence` the longest one a model can take.
    """

    classes: int
    image: int = 0
    sequence: int = 1
    width: float = 1.0

    def wide(self, channels: int, multiple: int = 8) -> int:
        """`channels` times the width, rounded to a multiple and at least one of it."""
        return max(multiple, round(channels * self.width / multiple) * multiple)


@dataclass(frozen=True)
class ModelSpec:
    """One model: how to build it and how it is trained by default.

    `batch` and `sequence` are those of its capture. `kept_dense` names the layers that methods leave dense: stem and
    classifier, and the head of language models. `training_only` are globs of layers that inference leaves out: the head
    of a model that is trained on a task nobody runs it for.
    """

    name: str
    make: Callable[[Sizes], nn.Module]
    sizes: Sizes
    data: DataKind
    objective: Objective
    optimizer: Optimizer
    kept_dense: tuple[str, ...]
    batch: int
    sequence: int = 1
    learning_rate: float = 0.01
    training_only: tuple[str, ...] = ()

    def build(self, width: float = 1.0, classes: int | None = None, image: int | None = None) -> nn.Module:
        """A new network with random weights. Raises UserError for a size it cannot have."""
        if width <= 0:
            raise UserError(f"{self.name}: width {width:g} is not above 0")
        if image is not None and self.data is not DataKind.IMAGES:
            raise UserError(f"{self.name}: takes no image size; it reads text")
        sizes = replace(self.sizes, width=width, classes=classes or self.sizes.classes, image=image or self.sizes.image)
        return self.make(sizes)
