"""What a training method is: facts that need no torch, and the few functions that a training layer calls.

Weights and masks go through a method as (G, O, C, T): G convolution groups, O output and C input channels of one group,
T kernel positions (a linear layer has G = T = 1). A mask is boolean, or floating-point factors for methods that let
weights fade out. Torch is imported only where a function needs more than the tensors' own methods.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import MutableMapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, ClassVar

from workloads.op import Phase, Role
from workloads.pattern import Pattern

if TYPE_CHECKING:
    from torch import Tensor

    OptimizerState = MutableMapping[str, Tensor]


END_OF_RUN = sys.maxsize  # a step after which no schedule changes anything


class Axis(IntEnum):
    """Where groups lie in (G, O, C, T)."""

    OUTPUT_CHANNELS = 1
    INPUT_CHANNELS = 2


class MaskSource(StrEnum):
    """What the backward mask is made from."""

    DENSE_WEIGHT = "dense weight"  # independent of the forward mask
    FORWARD_MASK = "forward mask"  # the same mask
    PART_OF_FORWARD_MASK = "part of the forward mask"
    NONE = "none"  # the weight is dense backward


class MaskUse(StrEnum):
    """What the masks of a method are for."""

    NONE = "none"  # it makes none of weights
    OPERANDS = "operands"  # FF and BP see masked weights
    DECAY = "decay"  # FF and BP see whole weights; the mask says which of them fade


class GradientRule(StrEnum):
    STRAIGHT_THROUGH = "straight-through"  # every weight gets its gradient, as if there were no mask
    MASKED = "masked"  # weights that the forward mask drops get none


@dataclass(frozen=True)
class SparseOperand:
    """An operand that a method keeps sparse in one phase, in groups along one axis of the weight.

    A gradient operand is grouped along the channels it shares with that axis. `permuted`: the groups hold only in an
    order of the axis that is stored beside the operand.
    """

    phase: Phase
    role: Role
    axis: Axis
    permuted: bool = False


@dataclass(frozen=True)
class Decay:
    """The SR-STE term: `rate` times the weights that the mask of `phase` drops is added to the gradient, once a step,
    after the loss scale is taken out (arXiv 2102.04010, equation 9)."""

    rate: float = 0.0
    phase: Phase = Phase.FF


@dataclass(frozen=True)
class Past:
    """What a layer remembers when new masks are made, None where there is nothing yet.

    forward_mask: the one in force until now. permutation: (G, O). gradient: of the dense weight, from the step before,
    with the loss scale still in it. Masks and gradient are (G, O, C, T).
    """

    forward_mask: Tensor | None = None
    permutation: Tensor | None = None
    gradient: Tensor | None = None


@dataclass(frozen=True)
class Method(ABC):
    """A training method. The facts are for the simulator, the functions for the training loop.

    `pattern` is always the one asked of the layer, whatever is in force at the step.
    """

    name: ClassVar[str]
    sparse: ClassVar[tuple[SparseOperand, ...]]
    mask_use: ClassVar[MaskUse]
    backward_from: ClassVar[MaskSource]
    gradient_rule: ClassVar[GradientRule]

    decay: Decay = Decay()

    def operand(self, phase: Phase, role: Role) -> SparseOperand | None:
        """The operand of this role that the method keeps sparse in the phase, None if it does not."""
        return next((each for each in self.sparse if (each.phase, each.role) == (phase, role)), None)

    @abstractmethod
    def pattern_at(self, pattern: Pattern, step: int) -> Pattern:
        """The pattern in force at a step (from 0, or END_OF_RUN) of a run that was asked for `pattern`.

        Raises UserError for a pattern that the method cannot train.
        """

    @abstractmethod
    def makes_masks(self, step: int) -> bool:
        """Whether new masks are made before this step. Always true at step 0."""

    @abstractmethod
    def forward_mask(self, weight: Tensor, pattern: Pattern, past: Past, step: int) -> Tensor:
        """The mask of the FF weight. weight: (G, O, C, T), values as the product will see them."""

    @abstractmethod
    def permutation(
        self, weight: Tensor, pattern: Pattern, forward_mask: Tensor, past: Past, step: int
    ) -> Tensor | None:
        """The order of a group's output channels, (G, O), in which the backward mask is grouped; None: as they are."""

    @abstractmethod
    def backward_mask(
        self, weight: Tensor, pattern: Pattern, forward_mask: Tensor, permutation: Tensor | None, step: int
    ) -> Tensor:
        """The mask of the BP weight, same shape."""

    @abstractmethod
    def pruned_gradient(self, gradient: Tensor, pattern: Pattern) -> Tensor:
        """The output gradient that the BP product sees. gradient: (rows, G, O)."""

    @abstractmethod
    def after_update(self, weight: Tensor, forward_mask: Tensor, state: OptimizerState, step: int) -> None:
        """May change the weight, (G, O, C, T), and the optimizer's state, by name, in place after an update."""
