"""Bi-Mask (arXiv 2302.06058): the backward mask is a part of the forward one, grouped in a permuted channel order.

Before every step the forward mask keeps n of every m along input channels. For BP the output channels of the masked
weight are put in another order, and of every m in that order at most n are kept: what is dropped forward stays dropped,
so at 2:4 on random weights 0.41 of the backward weights remain, not 0.5. Every `period` steps the order is searched
among `candidates` random ones; the one that keeps the most weights wins. In the channels' own order the backward mask
is not n:m, so the order is stored with the operand: hardware has to follow it.

WU is dense; dropped weights decay as in SR-STE. The period is the paper's. The candidates are those of the
commands for ImageNet in the authors' README, and so is the decay in their code. They group flattened (channel, kernel)
positions and start from the channels' own order until step 100; here groups lie along the channels of one kernel
position, as the reduction does, and the first search is at step 0. Each convolution group has an order of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from workloads.errors import UserError
from workloads.methods.base import Axis, Decay, GradientRule, MaskSource, MaskUse, Method, SparseOperand
from workloads.methods.families import allowed
from workloads.op import Phase, Role
from workloads.pattern import Pattern, PatternKind

if TYPE_CHECKING:
    from torch import Tensor

    from workloads.methods.base import OptimizerState, Past

PUBLISHED = Decay(2e-4)


@final
@dataclass(frozen=True)
class BiMask(Method):
    name: ClassVar[str] = "bimask"
    sparse: ClassVar[tuple[SparseOperand, ...]] = (
        SparseOperand(Phase.FF, Role.WEIGHT, Axis.INPUT_CHANNELS),
        SparseOperand(Phase.BP, Role.WEIGHT, Axis.OUTPUT_CHANNELS, permuted=True),
    )
    mask_use: ClassVar[MaskUse] = MaskUse.OPERANDS
    backward_from: ClassVar[MaskSource] = MaskSource.PART_OF_FORWARD_MASK
    gradient_rule: ClassVar[GradientRule] = GradientRule.STRAIGHT_THROUGH

    decay: Decay = PUBLISHED
    period: int = 100
    candidates: int = 100
    seed: int = 0  # of the candidates

    def __post_init__(self) -> None:
        if self.period < 1 or self.candidates < 1:
            raise UserError(f"method '{self.name}': period and candidates must be at least 1")

    def pattern_at(self, pattern: Pattern, step: int) -> Pattern:
        return allowed(pattern, (PatternKind.NM,), self.name)

    def makes_masks(self, step: int) -> bool:
        return True

    def forward_mask(self, weight: Tensor, pattern: Pattern, past: Past, step: int) -> Tensor:
        from workloads.training.masks import group_mask

        return group_mask(weight, pattern, Axis.INPUT_CHANNELS)

    def permutation(
        self, weight: Tensor, pattern: Pattern, forward_mask: Tensor, past: Past, step: int
    ) -> Tensor | None:
        from workloads.training.permutations import best_order

        if past.permutation is not None and step % self.period:
            return past.permutation
        return best_order(forward_mask, pattern, self.candidates, self.seed + step)

    def backward_mask(
        self, weight: Tensor, pattern: Pattern, forward_mask: Tensor, permutation: Tensor | None, step: int
    ) -> Tensor:
        from workloads.training.masks import group_mask
        from workloads.training.permutations import inverse, reordered

        assert permutation is not None
        kept = reordered(weight.where(forward_mask, 0.0), permutation)
        mask = group_mask(kept, pattern, Axis.OUTPUT_CHANNELS)
        return reordered(mask, inverse(permutation)) & forward_mask

    def pruned_gradient(self, gradient: Tensor, pattern: Pattern) -> Tensor:
        return gradient

    def after_update(self, weight: Tensor, forward_mask: Tensor, state: OptimizerState, step: int) -> None:
        return None
