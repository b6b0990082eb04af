"""MdGf, mask-decay gradient flow (arXiv 2402.04744): dropped weights fade out instead of vanishing.

FF and BP see the weight times 1 where STE would keep it and times a factor d where it would drop it; the gradient goes
to every weight as it is, not multiplied by d. The factor falls from 1, linearly or exponentially, and is 0 while the
last `tune_share` of the run is trained. Until then both operands are *dense* to hardware, and recorded as such; from
then on FF is n:m as under STE.

The authors' configurations have a rate of their own: `beta` 1e-4 a step, exponential, for ViT-B over 350 epochs, and
8e-4, linear, for Swin. It only fits runs of that length, so by default beta is derived from the length of this one:
`last_factor` is what is left when tuning begins. That, `tune_share` and the shape by default are assumed.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import exp, log

from workloads.methods.base import (
    GROUPED,
    WEIGHT_OF_FF,
    Known,
    Method,
    Scheduled,
    Tensor,
    largest_of_inputs,
    refuse_unless,
)
from workloads.pattern import DENSE, Pattern


class Fall(StrEnum):
    """How the factor falls."""

    LINEAR = "linear"
    EXPONENTIAL = "exponential"


@dataclass(frozen=True)
class Fading(Scheduled):
    """What dropped weights are multiplied by; the pattern is in force when that is 0."""

    fall: Fall = Fall.EXPONENTIAL
    beta: float | None = None
    dense_share: float = 0.0  # of the run, before the factor starts to fall
    tune_share: float = 0.1
    last_factor: float = 1e-3

    def __post_init__(self) -> None:
        refuse_unless(
            min(self.dense_share, self.tune_share) >= 0 and self.dense_share + self.tune_share < 1,
            "dense_share and tune_share must be at least 0 and leave a rest",
        )
        refuse_unless(0 < self.last_factor < 1, f"last_factor must lie between 0 and 1, not at {self.last_factor:g}")
        refuse_unless(self.beta is None or self.beta >= 0, f"beta must be 0 or more, not {self.beta or 0:g}")

    def factor(self, step: int) -> float:
        """1 - beta t or exp(-beta t), where t are the steps since it started to fall; 0 while tuning."""
        if self.progress(step) >= 1 - self.tune_share:
            return 0.0
        steps = (1 - self.dense_share - self.tune_share) * self.total_steps
        linear, fallen = self.fall is Fall.LINEAR, max(0.0, step - self.dense_share * self.total_steps)
        fitting = (1 - self.last_factor if linear else log(1 / self.last_factor)) / steps
        beta = fitting if self.beta is None else self.beta
        return max(0.0, 1 - beta * fallen) if linear else exp(-beta * fallen)

    def in_force(self, pattern: Pattern, step: int) -> Pattern:
        return DENSE if self.factor(step) else pattern

    def mask(self, weight: Tensor, pattern: Pattern, known: Known, step: int) -> Tensor:
        mask, factor = largest_of_inputs(weight, pattern), self.factor(step)
        return mask + ~mask * factor if factor else mask


FADING = Fading()
MDGF = Method(name="mdgf", trains=GROUPED, sparse=(WEIGHT_OF_FF,), in_force=FADING.in_force, forward_mask=FADING.mask)
