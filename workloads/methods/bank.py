"""Bank-balanced pruning: gradual magnitude pruning with the same number of weights kept in every bank.

The schedule is the cubic one of Zhu and Gupta (arXiv 1710.01878, section 3): from `start_share` to `stop_share` of the
run the share of dropped weights rises as 1 - (1 - t)^3 towards what the pattern asks for, in steps of `period`, so that
every bank of m along input channels, separately for every kernel position, keeps m at first and n at the end. What has
been dropped stays dropped: it gets no gradient, and later masks choose among the kept. FF and BP see the same masked
weight; along output channels, where BP reduces, it is balanced only by chance. WU is dense.

Start, stop, period and the shape are the paper's form; the numbers are assumed. Vendors of bank-balanced hardware prune
so and tune afterwards; their own schedules are not public.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, final

from workloads.errors import UserError
from workloads.methods.base import Axis, GradientRule, SparseOperand
from workloads.methods.families import GROUPED, OneMaskMethod, Scheduled, allowed
from workloads.op import Phase, Role
from workloads.pattern import DENSE, Pattern

if TYPE_CHECKING:
    from torch import Tensor

    from workloads.methods.base import Past


@final
@dataclass(frozen=True)
class Bank(OneMaskMethod, Scheduled):
    name: ClassVar[str] = "bank"
    sparse: ClassVar[tuple[SparseOperand, ...]] = (SparseOperand(Phase.FF, Role.WEIGHT, Axis.INPUT_CHANNELS),)
    gradient_rule: ClassVar[GradientRule] = GradientRule.MASKED

    start_share: float = 0.1
    stop_share: float = 0.6
    period: int = 10

    def __post_init__(self) -> None:
        Scheduled.__post_init__(self)
        if not 0 <= self.start_share < self.stop_share <= 1:
            raise UserError(f"method '{self.name}': start_share must lie below stop_share, both in 0 to 1")
        if self.period < 1:
            raise UserError(f"method '{self.name}': period must be at least 1, not {self.period}")

    def kept(self, pattern: Pattern, step: int) -> int:
        """Weights a bank keeps at a step: m at first, n when pruning is over, never rising."""
        at = self.progress(step - step % self.period if self.progress(step) < self.stop_share else step)
        pruned = min(1.0, max(0.0, (at - self.start_share) / (self.stop_share - self.start_share)))
        dropped = (pattern.m - pattern.n) * (1 - (1 - pruned) ** 3)
        return pattern.m - int(dropped)

    def pattern_at(self, pattern: Pattern, step: int) -> Pattern:
        asked = allowed(pattern, GROUPED, self.name)
        if asked.is_dense or self.kept(asked, step) == asked.m:
            return DENSE
        return replace(asked, n=self.kept(asked, step))

    def makes_masks(self, step: int) -> bool:
        over = self.progress(step) >= self.stop_share
        return step == 0 or (step % self.period == 0 and not over) or (over and self._first_over(step))

    def _first_over(self, step: int) -> bool:
        """Whether pruning ends at this step."""
        return self.progress(step - 1) < self.stop_share

    def forward_mask(self, weight: Tensor, pattern: Pattern, past: Past, step: int) -> Tensor:
        import torch

        from workloads.training.masks import group_mask

        now = replace(pattern, n=self.kept(pattern, step))
        if past.forward_mask is None:
            return group_mask(weight, now, Axis.INPUT_CHANNELS)
        least = torch.finfo(weight.dtype).tiny  # a kept weight of 0 still ranks above a dropped one
        ranked = torch.where(past.forward_mask, weight.abs().clamp(min=least), 0.0)
        return group_mask(ranked, now, Axis.INPUT_CHANNELS)
