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

from dataclasses import dataclass

from workloads import training
from workloads.methods.base import WEIGHT_OF_BP, WEIGHT_OF_FF, Method, Rule, Tensor, refuse_unless
from workloads.pattern import Pattern, PatternKind


@dataclass(frozen=True)
class Every(Rule):
    """New masks every `period` steps."""

    period: int = 40

    def __post_init__(self) -> None:
        refuse_unless(self.period >= 1, f"the period must be at least 1, not {self.period}")

    def due(self, step: int) -> bool:
        return step % self.period == 0


def tiles(weight: Tensor, pattern: Pattern, *_: object) -> Tensor:
    """m x m tiles with at most n in every row and column: the best at 2:4, at least half as good as it at others."""
    if (pattern.n, pattern.m) == (2, 4):
        return training.best_2_of_4(weight)
    return training.greedy(weight.abs(), pattern.n, pattern.m)


TRANSPOSABLE = Method(
    name="transposable",
    trains=(PatternKind.NM,),
    sparse=(WEIGHT_OF_FF, WEIGHT_OF_BP),
    makes_masks=Every().due,
    forward_mask=tiles,
)
