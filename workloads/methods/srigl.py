"""SRigL (arXiv 2305.02299): every output has the same number k of inputs, and which ones is learned.

The pattern is `fan-in k`: k weights of all kernel positions and input channels of an output. That is n:m with m a whole
row; it has no small groups, so machines for n:m refuse it. The run starts with random inputs. Every `period` steps the
`drop share` of the layer's smallest kept weights is dropped, and every output grows back to k where the dense gradient
of the step before is largest; the share falls from `drop_share` to 0 as half a cosine and nothing changes any more
after `stop_share` of the run. Between, dropped weights get no gradient; they and their optimizer state stay 0, so grown
ones start from 0.

Period (100 on CIFAR and for ViTs; 800 for ResNet-50), stop share 0.75 and drop share 0.3 are those of the authors'
code. There the step that changes masks updates no weights; here it does, with the new mask. Neuron ablation, which
gives the fan-in of dropped outputs to the rest, is left out: k would no longer be what was asked for. Layers all have
the k that is asked of them (name them apart as `LAYER=fan-in k`) where the authors derive it from a share for the model
(ERK).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi
from typing import TYPE_CHECKING, ClassVar, final

from workloads.errors import UserError
from workloads.methods.base import Axis, GradientRule, MaskSource, MaskUse, Method, SparseOperand
from workloads.methods.families import Scheduled, allowed
from workloads.op import Phase, Role
from workloads.pattern import Pattern, PatternKind

if TYPE_CHECKING:
    from torch import Tensor

    from workloads.methods.base import OptimizerState, Past


@final
@dataclass(frozen=True)
class SRigL(Method, Scheduled):
    name: ClassVar[str] = "srigl"
    sparse: ClassVar[tuple[SparseOperand, ...]] = (SparseOperand(Phase.FF, Role.WEIGHT, Axis.INPUT_CHANNELS),)
    mask_use: ClassVar[MaskUse] = MaskUse.OPERANDS
    backward_from: ClassVar[MaskSource] = MaskSource.FORWARD_MASK
    gradient_rule: ClassVar[GradientRule] = GradientRule.MASKED

    period: int = 100
    stop_share: float = 0.75
    drop_share: float = 0.3
    seed: int = 0  # of the first masks

    def __post_init__(self) -> None:
        Scheduled.__post_init__(self)
        if self.period < 1 or not (0 < self.stop_share <= 1 and 0 <= self.drop_share <= 1):
            raise UserError(f"method '{self.name}': period must be at least 1, stop_share and drop_share in 0 to 1")

    def dropped_share(self, step: int) -> float:
        """The share of kept weights that is dropped and grown anew at a step."""
        over = min(1.0, self.progress(step) / self.stop_share)
        return self.drop_share / 2 * (1 + cos(pi * over))

    def pattern_at(self, pattern: Pattern, step: int) -> Pattern:
        return allowed(pattern, (PatternKind.FAN_IN,), self.name)

    def makes_masks(self, step: int) -> bool:
        return step == 0 or (step % self.period == 0 and self.progress(step) < self.stop_share)

    def forward_mask(self, weight: Tensor, pattern: Pattern, past: Past, step: int) -> Tensor:
        from workloads.training.fan_in import random_mask, regrown

        if step == 0 or past.forward_mask is None:
            return random_mask(weight, pattern.fan_in, self.seed)
        if past.gradient is None:
            return past.forward_mask
        return regrown(weight, past.gradient, past.forward_mask, pattern.fan_in, self.dropped_share(step))

    def permutation(
        self, weight: Tensor, pattern: Pattern, forward_mask: Tensor, past: Past, step: int
    ) -> Tensor | None:
        return None

    def backward_mask(
        self, weight: Tensor, pattern: Pattern, forward_mask: Tensor, permutation: Tensor | None, step: int
    ) -> Tensor:
        return forward_mask

    def pruned_gradient(self, gradient: Tensor, pattern: Pattern) -> Tensor:
        return gradient

    def after_update(self, weight: Tensor, forward_mask: Tensor, state: OptimizerState, step: int) -> None:
        for values in (weight, *state.values()):
            values.masked_fill_(~forward_mask, 0.0)
