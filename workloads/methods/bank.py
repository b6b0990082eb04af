"""Bank-balanced pruning: gradual magnitude pruning with the same number of weights kept in every bank.

The schedule is the cubic one of Zhu and Gupta (arXiv 1710.01878, section 3): from `start_share` to `stop_share` of the
run the share of dropped weights rises as 1 - (1 - t)^3 towards what the pattern asks for, in steps of `period`, so that
every bank of m along input channels, separately for every kernel position, keeps m at first and n at the end. What has
been dropped stays dropped: it gets no gradient, and later masks choose among the kept. FF and BP see the same masked
weight; along output channels, where BP reduces, it is balanced only by chance. WU is dense.

Start, stop, period and the shape are the paper's form; the numbers are assumed. Vendors of bank-balanced hardware prune
so and tune afterwards; their own schedules are not public.
"""

from dataclasses import dataclass, replace

from workloads import training
from workloads.methods.base import (
    GROUPED,
    WEIGHT_OF_FF,
    GradientRule,
    Known,
    Method,
    Scheduled,
    Tensor,
    largest_of_inputs,
    refuse_unless,
)
from workloads.pattern import DENSE, Pattern


@dataclass(frozen=True)
class Gradual(Scheduled):
    """Every `period` steps a bank keeps fewer, from `start_share` to `stop_share` of the run."""

    start_share: float = 0.1
    stop_share: float = 0.6
    period: int = 10

    def __post_init__(self) -> None:
        refuse_unless(
            0 <= self.start_share < self.stop_share <= 1, "start_share must lie below stop_share, both in 0 to 1"
        )
        refuse_unless(self.period >= 1, f"period must be at least 1, not {self.period}")

    def kept(self, pattern: Pattern, step: int) -> int:
        """Weights a bank keeps at a step: m at first, n when pruning is over, never rising."""
        at = self.progress(step if self._over(step) else step - step % self.period)
        pruned = min(1.0, max(0.0, (at - self.start_share) / (self.stop_share - self.start_share)))
        dropped = (pattern.m - pattern.n) * (1 - (1 - pruned) ** 3)
        return pattern.m - int(dropped)

    def _over(self, step: int) -> bool:
        """Whether pruning is over before a step."""
        return self.progress(step) >= self.stop_share

    def in_force(self, pattern: Pattern, step: int) -> Pattern:
        kept = self.kept(pattern, step)
        return DENSE if kept == pattern.m else replace(pattern, n=kept)

    def due(self, step: int) -> bool:
        """Every period, and once more when pruning ends."""
        if self._over(step):
            return not self._over(step - 1)
        return step % self.period == 0

    def mask(self, weight: Tensor, pattern: Pattern, known: Known, step: int) -> Tensor:
        """The largest of what is still kept."""
        left = weight if known.forward_mask is None else training.ranked(weight, known.forward_mask)
        return largest_of_inputs(left, replace(pattern, n=self.kept(pattern, step)))


GRADUAL = Gradual()
BANK = Method(
    name="bank",
    trains=GROUPED,
    sparse=(WEIGHT_OF_FF,),
    gradient=GradientRule.MASKED,
    makes_masks=GRADUAL.due,
    in_force=GRADUAL.in_force,
    forward_mask=GRADUAL.mask,
)
