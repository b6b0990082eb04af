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

from dataclasses import dataclass, replace

from workloads import training
from workloads.methods.base import (
    WEIGHT_OF_BP,
    WEIGHT_OF_FF,
    Known,
    MaskSource,
    Method,
    Rule,
    Tensor,
    largest_of_inputs,
    largest_of_outputs,
    refuse_unless,
)
from workloads.pattern import Pattern, PatternKind


@dataclass(frozen=True)
class Search(Rule):
    """Every `period` steps, the best of `candidates` random orders of output channels."""

    period: int = 100
    candidates: int = 100
    seed: int = 0  # of the candidates

    def __post_init__(self) -> None:
        refuse_unless(min(self.period, self.candidates) >= 1, "period and candidates must be at least 1")

    def order(self, forward_mask: Tensor, pattern: Pattern, known: Known, step: int) -> Tensor:
        if known.permutation is not None and step % self.period:
            return known.permutation
        return training.best_order(forward_mask, pattern, self.candidates, self.seed + step)


def part_of_forward(weight: Tensor, pattern: Pattern, known: Known, step: int) -> Tensor:
    """The n largest of every m output channels, in their new order, of what the forward mask keeps."""
    assert known.forward_mask is not None and known.permutation is not None
    kept = training.reordered(weight.where(known.forward_mask, 0.0), known.permutation)
    mask = largest_of_outputs(kept, pattern, known, step)
    return training.reordered(mask, training.inverse(known.permutation)) & known.forward_mask


BIMASK = Method(
    name="bimask",
    trains=(PatternKind.NM,),
    sparse=(WEIGHT_OF_FF, replace(WEIGHT_OF_BP, permuted=True)),
    decay=2e-4,
    forward_mask=largest_of_inputs,
    permutation=Search().order,
    backward_mask=part_of_forward,
    backward_from=MaskSource.PART_OF_FORWARD_MASK,
)
