"""BDWP, bidirectional weight pruning (arXiv 2309.13015).

Before every step two independent masks are made from the dense FP32 weights: one for FF in groups along input channels,
one for BP in groups along output channels, both separately for every kernel position. WU is dense and its gradient goes
to every weight. That much follows from the paper's abstract and from the reduction dimensions; whether the authors add
the SR-STE decay could not be read, so it is off unless asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from workloads.methods.base import Axis, GradientRule, MaskSource, MaskUse, SparseOperand
from workloads.methods.families import WeightMethod
from workloads.op import Phase, Role
from workloads.pattern import Pattern

if TYPE_CHECKING:
    from torch import Tensor

    from workloads.methods.base import Past


@final
@dataclass(frozen=True)
class Bdwp(WeightMethod):
    name: ClassVar[str] = "bdwp"
    sparse: ClassVar[tuple[SparseOperand, ...]] = (
        SparseOperand(Phase.FF, Role.WEIGHT, Axis.INPUT_CHANNELS),
        SparseOperand(Phase.BP, Role.WEIGHT, Axis.OUTPUT_CHANNELS),
    )
    mask_use: ClassVar[MaskUse] = MaskUse.OPERANDS
    backward_from: ClassVar[MaskSource] = MaskSource.DENSE_WEIGHT
    gradient_rule: ClassVar[GradientRule] = GradientRule.STRAIGHT_THROUGH

    def pattern_at(self, pattern: Pattern, step: int) -> Pattern:
        return pattern

    def makes_masks(self, step: int) -> bool:
        return True

    def forward_mask(self, weight: Tensor, pattern: Pattern, past: Past, step: int) -> Tensor:
        from workloads.training.masks import group_mask

        return group_mask(weight, pattern, Axis.INPUT_CHANNELS)

    def backward_mask(
        self, weight: Tensor, pattern: Pattern, forward_mask: Tensor, permutation: Tensor | None, step: int
    ) -> Tensor:
        from workloads.training.masks import group_mask

        return group_mask(weight, pattern, Axis.OUTPUT_CHANNELS)
