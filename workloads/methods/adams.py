"""AdamS, the optimizer of CAST (arXiv 2509.25996), as far as its public description goes: weights are pulled to n:m.

Training is dense in every phase, so there is nothing for sparse hardware to use until the run is over and the weights
are masked for inference. Every `period` steps (10, as described) a mask marks the n largest magnitudes of every m along
input channels; after every update the other weights move towards 0 by an L1 decay and stop there. They are never masked
and come back by themselves if their gradient outweighs the decay.

Not public, hence assumed here: that "adaptive" means divided by the root of Adam's corrected second moment, like the
gradient's own step; that the decay stands apart from the moments; the schedule, a ramp over the first quarter (as in
the README of the authors' earlier trainer, arXiv 2407.20584); and `rate`, which is the product of learning rate and L1
strength. CAST's weight scaling and its distillation from the dense model are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from workloads.errors import UserError
from workloads.methods.base import Axis, GradientRule, MaskSource, MaskUse, Method, SparseOperand
from workloads.methods.families import GROUPED, Scheduled, allowed
from workloads.pattern import DENSE, Pattern

if TYPE_CHECKING:
    from torch import Tensor

    from workloads.methods.base import OptimizerState, Past


@final
@dataclass(frozen=True)
class AdamS(Method, Scheduled):
    name: ClassVar[str] = "adams"
    sparse: ClassVar[tuple[SparseOperand, ...]] = ()
    mask_use: ClassVar[MaskUse] = MaskUse.DECAY
    backward_from: ClassVar[MaskSource] = MaskSource.NONE
    gradient_rule: ClassVar[GradientRule] = GradientRule.STRAIGHT_THROUGH

    rate: float = 1e-6
    ramp_share: float = 0.25
    period: int = 10
    beta2: float = 0.999  # of the optimizer, to correct its second moment
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        Scheduled.__post_init__(self)
        if self.period < 1 or self.ramp_share <= 0 or self.rate < 0:
            raise UserError(f"method '{self.name}': period must be at least 1, ramp_share above 0, rate not below 0")
        if not 0 <= self.beta2 < 1 or self.epsilon <= 0:
            raise UserError(f"method '{self.name}': beta2 must be at least 0 and below 1, epsilon above 0")

    def rate_at(self, step: int) -> float:
        return self.rate * min(1.0, self.progress(step) / self.ramp_share)

    def pattern_at(self, pattern: Pattern, step: int) -> Pattern:
        allowed(pattern, GROUPED, self.name)
        return DENSE

    def makes_masks(self, step: int) -> bool:
        return step % self.period == 0

    def forward_mask(self, weight: Tensor, pattern: Pattern, past: Past, step: int) -> Tensor:
        from workloads.training.masks import group_mask

        return group_mask(weight, pattern, Axis.INPUT_CHANNELS)

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
        if "second_moment" not in state:
            raise UserError(f"method '{self.name}': its decay needs the second moment of the optimizer adamw")
        spread = (state["second_moment"] / (1 - self.beta2 ** (step + 1))).sqrt() + self.epsilon
        shrunk = (weight.abs() - self.rate_at(step) / spread).clamp(min=0.0).copysign(weight)
        weight.copy_(weight.where(forward_mask, shrunk))
