"""SDWP: weights pruned in BP only, the counterpart that bidirectional pruning (arXiv 2309.13015) is compared with.

FF and WU are dense. BP sees the n largest magnitudes of every m along output channels, its reduction, made from the
dense weight before every step. The gradient of the input is thus an approximation; that of the weight is exact for the
output gradient it gets. Only the abstract of the source could be read: no decay is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from workloads.methods.base import Axis, Decay, GradientRule, MaskSource, MaskUse, SparseOperand
from workloads.methods.families import GROUPED, WeightMethod, allowed
from workloads.op import Phase, Role
from workloads.pattern import Pattern

if TYPE_CHECKING:
    from torch import Tensor

    from workloads.methods.base import Past

OFF = Decay(0.0, Phase.BP)  # a rate put in its place acts on what BP drops


@final
@dataclass(frozen=True)
class Sdwp(WeightMethod):
    name: ClassVar[str] = "sdwp"
    sparse: ClassVar[tuple[SparseOperand, ...]] = (SparseOperand(Phase.BP, Role.WEIGHT, Axis.OUTPUT_CHANNELS),)
    mask_use: ClassVar[MaskUse] = MaskUse.OPERANDS
    backward_from: ClassVar[MaskSource] = MaskSource.DENSE_WEIGHT
    gradient_rule: ClassVar[GradientRule] = GradientRule.STRAIGHT_THROUGH

    decay: Decay = OFF

    def pattern_at(self, pattern: Pattern, step: int) -> Pattern:
        return allowed(pattern, GROUPED, self.name)

    def makes_masks(self, step: int) -> bool:
        return True

    def forward_mask(self, weight: Tensor, pattern: Pattern, past: Past, step: int) -> Tensor:
        return weight.new_ones(weight.shape).bool()

    def backward_mask(
        self, weight: Tensor, pattern: Pattern, forward_mask: Tensor, permutation: Tensor | None, step: int
    ) -> Tensor:
        from workloads.training.masks import group_mask

        return group_mask(weight, pattern, Axis.OUTPUT_CHANNELS)
