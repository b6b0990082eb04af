"""SR-STE, sparse-refined straight-through estimation (arXiv 2102.04010).

Masks, FF, BP and WU are those of `ste`. The gradient of a dropped weight gets `decay.rate` times the weight added, so
that it shrinks unless the loss wants it back: once a step, on the gradient without its loss scale, before the optimizer
sees it. The rate 2e-4 is the paper's. Groups lie along input channels of one kernel position, as in the authors' second
version of their code; there they may straddle positions where channels are no multiple of m, here they never do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from workloads.methods.base import Axis, Decay, GradientRule, SparseOperand
from workloads.methods.families import GROUPED, OneMaskMethod, allowed
from workloads.op import Phase, Role
from workloads.pattern import Pattern

if TYPE_CHECKING:
    from torch import Tensor

    from workloads.methods.base import Past

PUBLISHED = Decay(2e-4)


@final
@dataclass(frozen=True)
class SrSte(OneMaskMethod):
    name: ClassVar[str] = "srste"
    sparse: ClassVar[tuple[SparseOperand, ...]] = (SparseOperand(Phase.FF, Role.WEIGHT, Axis.INPUT_CHANNELS),)
    gradient_rule: ClassVar[GradientRule] = GradientRule.STRAIGHT_THROUGH

    decay: Decay = PUBLISHED

    def pattern_at(self, pattern: Pattern, step: int) -> Pattern:
        return allowed(pattern, GROUPED, self.name)

    def makes_masks(self, step: int) -> bool:
        return True

    def forward_mask(self, weight: Tensor, pattern: Pattern, past: Past, step: int) -> Tensor:
        from workloads.training.masks import group_mask

        return group_mask(weight, pattern, Axis.INPUT_CHANNELS)
