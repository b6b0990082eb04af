"""What a training method is: a value, made of facts for the simulator and of the few functions a layer calls.

Weights and masks go through the functions as (G, O, C, T): G convolution groups, O output and C input channels of one
group, T kernel positions (a linear layer has G = T = 1). A mask is boolean, or floating-point factors for methods that
let weights fade out. What needs more than the tensors' own methods is behind the door of `workloads.training`, which
brings torch when it is used.

A function is a plain one, or that of a rule: a frozen dataclass with the numbers of a method, which can be set by name
(`workloads.methods.fields`). A rule may give several functions of one method.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, TypeAlias

from workloads import training
from workloads.errors import UserError
from workloads.op import Phase, Role
from workloads.pattern import DENSE, Pattern, PatternKind

if TYPE_CHECKING:
    import torch

Tensor: TypeAlias = "torch.Tensor"  # a name for annotations: torch itself comes when a function is used
END_OF_RUN = sys.maxsize  # a step after which no schedule changes anything
GROUPED = (PatternKind.NM, PatternKind.BANK)
WRITTEN = {
    PatternKind.NM: "n:m such as 2:8",
    PatternKind.BANK: "bank n:m",
    PatternKind.FAN_IN: "fan-in k",
    PatternKind.DENSITY: "density d",
}


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


WEIGHT_OF_FF = SparseOperand(Phase.FF, Role.WEIGHT, Axis.INPUT_CHANNELS)
WEIGHT_OF_BP = SparseOperand(Phase.BP, Role.WEIGHT, Axis.OUTPUT_CHANNELS)


@dataclass(frozen=True)
class Known:
    """What is known when a mask is made, None where there is nothing yet.

    forward_mask: for a new forward mask the one in force until now, for a backward mask the new forward one; the
    permutation, (G, O), likewise. gradient: of the dense weight, from the step before, with the loss scale still in it.
    Masks and gradient are (G, O, C, T).
    """

    forward_mask: Tensor | None = None
    permutation: Tensor | None = None
    gradient: Tensor | None = None


# (weight or mask, pattern, what is known, step) -> mask or order
FromWeight = Callable[[Tensor, Pattern, Known, int], Tensor]


def every_step(_: int) -> bool:
    return True


def always_dense(*_: object) -> Pattern:
    return DENSE


def keep_all(weight: Tensor, *_: object) -> Tensor:
    return weight.new_ones(weight.shape).bool()


def largest_of_inputs(weight: Tensor, pattern: Pattern, *_: object) -> Tensor:
    """The n largest magnitudes of every m along input channels, where FF reduces."""
    return training.group_mask(weight, pattern, Axis.INPUT_CHANNELS)


def largest_of_outputs(weight: Tensor, pattern: Pattern, *_: object) -> Tensor:
    """The n largest magnitudes of every m along output channels, where BP reduces."""
    return training.group_mask(weight, pattern, Axis.OUTPUT_CHANNELS)


@dataclass(frozen=True)
class Rule:
    """Numbers that can be set by name, and the functions that depend on them: a method takes its own from here."""


@dataclass(frozen=True)
class Scheduled(Rule):
    """A rule that changes over the run.

    total_steps: of the run. The default is assumed; `fitted` puts the run's own.
    """

    total_steps: int = 1000

    def progress(self, step: int) -> float:
        """The share of the run that is over before a step, at most 1."""
        return min(1.0, step / self.total_steps)


class Refused(UserError):
    """What a rule cannot do. The method that has the rule puts its own name before it."""


def refuse_unless(holds: bool, sentence: str) -> None:
    """Raises Refused with the sentence, without the method's name, unless the condition holds."""
    if not holds:
        raise Refused(sentence)


@dataclass(frozen=True, kw_only=True)
class Method:
    """A training method. Where nothing else is said, functions get the pattern asked of the layer, and steps from 0.

    decay: this times the weights that the mask of `decay_phase` drops is added to the gradient, once a step, after the
    loss scale is taken out (arXiv 2102.04010, equation 9).
    makes_masks(step): whether new masks are made before a step; always true at step 0.
    in_force(pattern, step): the pattern in force, another one only at steps that make masks. None: the one asked for.
    forward_mask(weight, pattern, known, step): the mask of the FF weight. weight: values as the product will see them.
    permutation(forward mask, pattern, known, step): the order of a group's output channels, (G, O), in which the
    backward mask is grouped. None: as they are.
    backward_mask: that of the BP weight, made as the forward one is. None: the forward mask again.
    pruned_gradient(gradient, pattern in force): the output gradient, (rows, G, O), that the BP product sees. None: all.
    after_update(weight, forward mask, state, step): may change the weight and the optimizer's state, by name, in place
    after an update. None: nothing.
    """

    name: str
    trains: Collection[PatternKind] = tuple(PatternKind)  # what can be asked for, besides dense
    sparse: tuple[SparseOperand, ...] = ()
    mask_use: MaskUse = MaskUse.OPERANDS
    backward_from: MaskSource = MaskSource.FORWARD_MASK
    gradient: GradientRule = GradientRule.STRAIGHT_THROUGH
    decay: float = 0.0
    decay_phase: Phase = Phase.FF
    makes_masks: Callable[[int], bool] = every_step
    in_force: Callable[[Pattern, int], Pattern] | None = None
    forward_mask: FromWeight = keep_all
    permutation: FromWeight | None = None
    backward_mask: FromWeight | None = None
    pruned_gradient: Callable[[Tensor, Pattern], Tensor] | None = None
    after_update: Callable[[Tensor, Tensor, MutableMapping[str, Tensor], int], None] | None = None

    def operand(self, phase: Phase, role: Role) -> SparseOperand | None:
        """The operand of this role that the method keeps sparse in the phase, None if it does not."""
        return next((each for each in self.sparse if (each.phase, each.role) == (phase, role)), None)

    def pattern_at(self, pattern: Pattern, step: int) -> Pattern:
        """The pattern in force at a step (or END_OF_RUN) of a run that was asked for `pattern`.

        Raises UserError for a pattern that the method cannot train.
        """
        if pattern.is_dense:
            return pattern
        with self.named():
            allowed = " and ".join(WRITTEN[kind] for kind in self.trains if kind in WRITTEN)
            refuse_unless(
                pattern.kind in self.trains, f"pattern '{pattern}' cannot be trained; allowed are dense, {allowed}"
            )
            return self.in_force(pattern, step) if self.in_force else pattern

    @contextmanager
    def named(self) -> Iterator[None]:
        """What a rule refuses inside is a UserError with the method's name."""
        try:
            yield
        except Refused as error:
            raise UserError(f"method '{self.name}': {error}") from None
