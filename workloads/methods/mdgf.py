"""MdGf, mask-decay gradient flow (arXiv 2402.04744): dropped weights fade out instead of vanishing.

FF and BP see the weight times 1 where STE would keep it and times a factor d where it would drop it; the gradient goes
to every weight as it is, not multiplied by d. The factor falls from 1, linearly or exponentially, and is 0 while the
last `tune_share` of the run is trained. Until then both operands are *dense* to hardware, and recorded as such; from
then on FF is n:m as under STE.

The authors' configurations have a rate of their own: `beta` 1e-4 a step, exponential, for ViT-B over 350 epochs, and
8e-4, linear, for Swin. It only fits runs of that length, so by default beta is derived from the length of this one:
`last_factor` is what is left when tuning begins. That, `tune_share` and the shape by default are assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import exp, log
from typing import TYPE_CHECKING, ClassVar, final

from workloads.errors import UserError
from workloads.methods.base import Axis, GradientRule, SparseOperand
from workloads.methods.families import GROUPED, OneMaskMethod, Scheduled, allowed
from workloads.op import Phase, Role
from workloads.pattern import DENSE, Pattern

if TYPE_CHECKING:
    from torch import Tensor

    from workloads.methods.base import Past


class Fall(StrEnum):
    """How the factor falls."""

    LINEAR = "linear"
    EXPONENTIAL = "exponential"


@final
@dataclass(frozen=True)
class MdGf(OneMaskMethod, Scheduled):
    name: ClassVar[str] = "mdgf"
    sparse: ClassVar[tuple[SparseOperand, ...]] = (SparseOperand(Phase.FF, Role.WEIGHT, Axis.INPUT_CHANNELS),)
    gradient_rule: ClassVar[GradientRule] = GradientRule.STRAIGHT_THROUGH

    fall: Fall = Fall.EXPONENTIAL
    beta: float | None = None
    dense_share: float = 0.0  # of the run, before the factor starts to fall
    tune_share: float = 0.1
    last_factor: float = 1e-3

    def __post_init__(self) -> None:
        Scheduled.__post_init__(self)
        if min(self.dense_share, self.tune_share) < 0 or self.dense_share + self.tune_share >= 1:
            raise UserError(f"method '{self.name}': dense_share and tune_share must be at least 0 and leave a rest")
        if not 0 < self.last_factor < 1:
            raise UserError(f"method '{self.name}': last_factor must lie between 0 and 1, not at {self.last_factor:g}")
        if self.beta is not None and self.beta < 0:
            raise UserError(f"method '{self.name}': beta must be 0 or more, not {self.beta:g}")

    def factor(self, step: int) -> float:
        """What dropped weights are multiplied by at a step."""
        if self.progress(step) >= 1 - self.tune_share:
            return 0.0
        fallen = max(0.0, step - self.dense_share * self.total_steps)
        if self.fall is Fall.LINEAR:
            return max(0.0, 1 - self._beta * fallen)
        return exp(-self._beta * fallen)

    @property
    def _beta(self) -> float:
        if self.beta is not None:
            return self.beta
        steps = (1 - self.dense_share - self.tune_share) * self.total_steps
        return (1 - self.last_factor if self.fall is Fall.LINEAR else log(1 / self.last_factor)) / steps

    def pattern_at(self, pattern: Pattern, step: int) -> Pattern:
        asked = allowed(pattern, GROUPED, self.name)
        return DENSE if self.factor(step) else asked

    def makes_masks(self, step: int) -> bool:
        return True

    def forward_mask(self, weight: Tensor, pattern: Pattern, past: Past, step: int) -> Tensor:
        from workloads.training.masks import group_mask

        mask, factor = group_mask(weight, pattern, Axis.INPUT_CHANNELS), self.factor(step)
        return mask + ~mask * factor if factor else mask
