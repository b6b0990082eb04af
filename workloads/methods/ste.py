"""STE, straight-through estimation: the plainest n:m training.

Before every forward pass the n largest magnitudes of every m along input channels are kept, separately for every kernel
position. FF and BP see the same masked weight; along output channels, where BP reduces, it is n:m only by chance, so
BP's operand counts as dense with zeros. WU is dense and every weight gets its whole gradient, dropped ones too: they
keep learning and may come back. The baseline of arXiv 2102.04010, section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from workloads.methods.base import Axis, GradientRule, SparseOperand
from workloads.methods.families import GROUPED, OneMaskMethod, allowed
from workloads.op import Phase, Role
from workloads.pattern import Pattern

if TYPE_CHECKING:
    from torch import Tensor

    from workloads.methods.base import Past


@final
@dataclass(frozen=True)
class Ste(OneMaskMethod):
    name: ClassVar[str] = "ste"
    sparse: ClassVar[tuple[SparseOperand, ...]] = (SparseOperand(Phase.FF, Role.WEIGHT, Axis.INPUT_CHANNELS),)
    gradient_rule: ClassVar[GradientRule] = GradientRule.STRAIGHT_THROUGH

    def pattern_at(self, pattern: Pattern, step: int) -> Pattern:
        return allowed(pattern, GROUPED, self.name)

    def makes_masks(self, step: int) -> bool:
        return True

    def forward_mask(self, weight: Tensor, pattern: Pattern, past: Past, step: int) -> Tensor:
        from workloads.training.masks import group_mask

        return group_mask(weight, pattern, Axis.INPUT_CHANNELS)
