"""Dense training: nothing is masked. What every other method is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from workloads.methods.base import GradientRule, MaskSource, MaskUse, SparseOperand
from workloads.methods.families import WeightMethod
from workloads.pattern import DENSE, Pattern

if TYPE_CHECKING:
    from torch import Tensor

    from workloads.methods.base import Past


@final
@dataclass(frozen=True)
class Dense(WeightMethod):
    name: ClassVar[str] = "dense"
    sparse: ClassVar[tuple[SparseOperand, ...]] = ()
    mask_use: ClassVar[MaskUse] = MaskUse.NONE
    backward_from: ClassVar[MaskSource] = MaskSource.NONE
    gradient_rule: ClassVar[GradientRule] = GradientRule.STRAIGHT_THROUGH

    def pattern_at(self, pattern: Pattern, step: int) -> Pattern:
        return DENSE

    def makes_masks(self, step: int) -> bool:
        return step == 0

    def forward_mask(self, weight: Tensor, pattern: Pattern, past: Past, step: int) -> Tensor:
        return weight.new_ones(weight.shape).bool()

    def backward_mask(
        self, weight: Tensor, pattern: Pattern, forward_mask: Tensor, permutation: Tensor | None, step: int
    ) -> Tensor:
        return forward_mask
