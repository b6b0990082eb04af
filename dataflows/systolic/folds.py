"""Folds of a weight-stationary array: R groups of the reduction each, and the work of one."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from dataflows.systolic.blocks import Share
from dataflows.systolic.operands import Operands
from rtl.timing import Reduction
from simulator.program import Action, Stall


@lru_cache(maxsize=4096)
def folds(work: Reduction, rows: int) -> tuple[tuple[Share, int], ...]:
    """The folds of a reduction in order, like ones together with their number.

    The groups of a kernel position may share a fold with the next one's.
    """
    tail = work.length % work.m
    a_segment = work.groups // work.segments
    if not tail or work.segments == 1:
        whole, rest = divmod(work.groups - (1 if tail else 0), rows)
        last = Share(rest * work.m + tail, rest * work.n + min(work.n, tail), rest + (1 if tail else 0))
        runs = [(Share(rows * work.m, rows * work.n, rows), whole), (last, 1)]
        return tuple((fold, count) for fold, count in runs if count and fold.elements)
    out = []
    for first in range(0, work.groups, rows):
        last_group = min(work.groups, first + rows)
        tails = last_group // a_segment - first // a_segment
        full = last_group - first - tails
        kept = full * work.n + tails * min(work.n, tail)
        out.append(Share(full * work.m + tails * tail, kept, last_group - first))
    return tuple((fold, len(list(same))) for fold, same in groupby(out))


@dataclass(frozen=True)
class Place:
    """Where a fold stands among the folds: the first starts new sums, the last finishes them."""

    fold: Share
    first: bool
    last: bool


@lru_cache(maxsize=4096)
def largest(runs: tuple[tuple[Share, int], ...]) -> Share:
    """The fold with the most elements."""
    return max((fold for fold, _ in runs), key=lambda each: each.elements)


def places(runs: tuple[tuple[Share, int], ...]) -> list[tuple[Place, int]]:
    """The folds with the first and the last one set apart."""
    out = []
    for at, (fold, count) in enumerate(runs):
        begins, ends = at == 0, at == len(runs) - 1
        if begins and ends and count == 1:
            out.append((Place(fold, True, True), 1))
            continue
        middle = count - begins - ends
        parts = [(Place(fold, True, False), int(begins)), (Place(fold, False, False), middle)]
        parts.append((Place(fold, False, True), int(ends)))
        out.extend((place, number) for place, number in parts if number)
    return out


@dataclass(frozen=True)
class FoldWork:
    """The commands of one fold over one block of positions, common to all plans."""

    operands: Operands

    def cycles(self, positions: int) -> tuple[int, tuple[tuple[Stall, int], ...]]:
        """Ticks and the stalls in them."""
        reduction = self.operands.product.reduction
        cycles = self.operands.target.fold(positions, reduction.n, reduction.m)
        return cycles.total, ((Stall.LINKS, cycles.links), (Stall.FILL_DRAIN, cycles.fill_drain))

    def ends(self) -> tuple[int, tuple[tuple[Stall, int], ...]]:
        """Ticks before the first and after the last position, and the stalls in them, where positions come in blocks.

        Where the period outlasts the array they would be negative, and are none: a cycle or so too many.
        """
        ticks, stalls = self.cycles(0)
        return (ticks, stalls) if ticks > 0 else (0, ())

    def actions(self, positions: int, cols: int, fold: Share, seeded: bool) -> tuple[Action, ...]:
        product, size = self.operands.product, self.operands.target.operand_bytes
        sums = positions * cols * self.operands.target.arch.format.accumulator_bytes
        macs, west = positions * cols * fold.kept, positions * fold.elements * size
        north = self.operands.right_bytes(cols, fold)
        return (
            Action("mac", product.right, macs),
            *self.operands.selects(macs),
            Action("west.read", product.left, west),
            Action("north.read", product.right, north),
            Action("hop", product.left, west * cols),
            Action("hop", product.right, north * -(-fold.groups // 2)),  # weights stop on their way down
            Action("hop", "partial-sum", sums * fold.groups),
            Action("output.write", "partial-sum", sums),
            Action("output.read", "partial-sum", sums if seeded else 0),
        )
