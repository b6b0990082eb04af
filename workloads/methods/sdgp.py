"""SDGP, structured data gradient pruning: the output gradient is pruned in BP, weights never are.

BP multiplies the dense weight by the n largest magnitudes of every m output channels of the output gradient, separately
for every image and position. WU sees the whole output gradient, so the weight gradient of the last layer is the dense
one. The authors' code also has random choice and a variant that scales what is kept up to the magnitude sum of an
image's channel; both are left out: the first is their own baseline, the second needs sums over whole maps first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from workloads.methods.base import Axis, GradientRule, MaskSource, MaskUse, Method, SparseOperand
from workloads.methods.families import GROUPED, allowed
from workloads.op import Phase, Role
from workloads.pattern import Pattern

if TYPE_CHECKING:
    from torch import Tensor

    from workloads.methods.base import OptimizerState, Past


@final
@dataclass(frozen=True)
class Sdgp(Method):
    name: ClassVar[str] = "sdgp"
    sparse: ClassVar[tuple[SparseOperand, ...]] = (SparseOperand(Phase.BP, Role.GRADIENT, Axis.OUTPUT_CHANNELS),)
    mask_use: ClassVar[MaskUse] = MaskUse.NONE
    backward_from: ClassVar[MaskSource] = MaskSource.NONE
    gradient_rule: ClassVar[GradientRule] = GradientRule.STRAIGHT_THROUGH

    def pattern_at(self, pattern: Pattern, step: int) -> Pattern:
        return allowed(pattern, GROUPED, self.name)

    def makes_masks(self, step: int) -> bool:
        return True

    def forward_mask(self, weight: Tensor, pattern: Pattern, past: Past, step: int) -> Tensor:
        return weight.new_ones(weight.shape).bool()

    def permutation(
        self, weight: Tensor, pattern: Pattern, forward_mask: Tensor, past: Past, step: int
    ) -> Tensor | None:
        return None

    def backward_mask(
        self, weight: Tensor, pattern: Pattern, forward_mask: Tensor, permutation: Tensor | None, step: int
    ) -> Tensor:
        return forward_mask

    def pruned_gradient(self, gradient: Tensor, pattern: Pattern) -> Tensor:
        from workloads.training.masks import group_mask

        return gradient.where(group_mask(gradient, pattern, 2), 0.0)

    def after_update(self, weight: Tensor, forward_mask: Tensor, state: OptimizerState, step: int) -> None:
        return None
