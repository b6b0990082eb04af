"""Transposable masks (arXiv 2102.08124): one mask that is n:m along input and along output channels at once.

Every m x m tile of m output by m input channels of one kernel position holds at most n ones in every row and column, so
FF and BP use one masked weight, and both as n:m. For 2:4 the mask is the best of those with exactly two: of the 90
patterns of a tile the one that keeps the most magnitude (as in arXiv 2404.01847). For others the largest weights are
taken first wherever row and column have room, which keeps at least half of the best. Channels that are no multiple of m
are filled up with weights that are never kept. WU is dense, and dropped weights get their whole gradient.

New masks are made every `period` steps; 40 is that of both papers' code. The first has no decay; for that of the
second set `decay` (6e-5 to 2e-4 there). Its sampled 2:4 output gradients in WU are left out. Public code of the first
cuts tiles from one output channel's flattened weights, whose masks are not n:m along output channels: not done here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from workloads.errors import UserError
from workloads.methods.base import Axis, GradientRule, SparseOperand
from workloads.methods.families import OneMaskMethod, allowed
from workloads.op import Phase, Role
from workloads.pattern import Pattern, PatternKind

if TYPE_CHECKING:
    from torch import Tensor

    from workloads.methods.base import Past


@final
@dataclass(frozen=True)
class Transposable(OneMaskMethod):
    name: ClassVar[str] = "transposable"
    sparse: ClassVar[tuple[SparseOperand, ...]] = (
        SparseOperand(Phase.FF, Role.WEIGHT, Axis.INPUT_CHANNELS),
        SparseOperand(Phase.BP, Role.WEIGHT, Axis.OUTPUT_CHANNELS),
    )
    gradient_rule: ClassVar[GradientRule] = GradientRule.STRAIGHT_THROUGH

    period: int = 40

    def __post_init__(self) -> None:
        if self.period < 1:
            raise UserError(f"method '{self.name}': the period must be at least 1, not {self.period}")

    def pattern_at(self, pattern: Pattern, step: int) -> Pattern:
        return allowed(pattern, (PatternKind.NM,), self.name)

    def makes_masks(self, step: int) -> bool:
        return step % self.period == 0

    def forward_mask(self, weight: Tensor, pattern: Pattern, past: Past, step: int) -> Tensor:
        from workloads.training.tiles import best_2_of_4, greedy

        if (pattern.n, pattern.m) == (2, 4):
            return best_2_of_4(weight)
        return greedy(weight.abs(), pattern.n, pattern.m)
