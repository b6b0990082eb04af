"""SdGf, structure-decay gradient flow (arXiv 2402.04744): the pattern itself changes during the run.

At every step it is STE with the pattern of the phase the run is in; phases are equally long and end in the pattern that
was asked for. So the pattern is recorded for each step, and m may change too.

| schedule  | phases for n:m                                 | at 1:8                         |
| sparsify  | m-1:m, m/2:m, m/4:m, ... n:m                   | 7:8, 4:8, 2:8, 1:8             |
| geometric | 8n:8m, 4n:4m, 2n:2m, n:m                       | 8:64, 4:32, 2:16, 1:8          |
| densify   | n:8m, n:4m, n:2m, n:m                          | 1:64, 1:32, 1:16, 1:8          |

The three are those of the authors' code; that `sparsify` is the default is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, final

from workloads.errors import UserError
from workloads.methods.base import Axis, GradientRule, SparseOperand
from workloads.methods.families import OneMaskMethod, Scheduled, allowed
from workloads.op import Phase, Role
from workloads.pattern import MAX_GROUP, Pattern, PatternKind

if TYPE_CHECKING:
    from torch import Tensor

    from workloads.methods.base import Past

TIMES = (8, 4, 2, 1)


class Schedule(StrEnum):
    SPARSIFY = "sparsify"
    GEOMETRIC = "geometric"
    DENSIFY = "densify"


@final
@dataclass(frozen=True)
class SdGf(OneMaskMethod, Scheduled):
    name: ClassVar[str] = "sdgf"
    sparse: ClassVar[tuple[SparseOperand, ...]] = (SparseOperand(Phase.FF, Role.WEIGHT, Axis.INPUT_CHANNELS),)
    gradient_rule: ClassVar[GradientRule] = GradientRule.STRAIGHT_THROUGH

    schedule: Schedule = Schedule.SPARSIFY

    def phases(self, pattern: Pattern) -> tuple[Pattern, ...]:
        """The patterns of a run that is to end in n:m. Raises UserError where groups would become too large."""
        n, m = pattern.n, pattern.m
        if self.schedule is Schedule.SPARSIFY:
            return tuple(Pattern(PatternKind.NM, kept, m) for kept in _falling(n, m))
        if m * TIMES[0] > MAX_GROUP:
            raise UserError(
                f"method '{self.name}': schedule '{self.schedule}' starts with groups of {m * TIMES[0]}; "
                f"more than {MAX_GROUP} are not supported"
            )
        grows = self.schedule is Schedule.GEOMETRIC
        return tuple(Pattern(PatternKind.NM, n * times if grows else n, m * times) for times in TIMES)

    def pattern_at(self, pattern: Pattern, step: int) -> Pattern:
        if allowed(pattern, (PatternKind.NM,), self.name).is_dense:
            return pattern
        phases = self.phases(pattern)
        return phases[min(int(self.progress(step) * len(phases)), len(phases) - 1)]

    def makes_masks(self, step: int) -> bool:
        return True

    def forward_mask(self, weight: Tensor, pattern: Pattern, past: Past, step: int) -> Tensor:
        from workloads.training.masks import group_mask

        return group_mask(weight, self.pattern_at(pattern, step), Axis.INPUT_CHANNELS)


def _falling(n: int, m: int) -> list[int]:
    """m - 1, m/2, m/4 and so on down to n, without repeats."""
    halves = [m >> times for times in range(1, m.bit_length())]
    return [*dict.fromkeys(kept for kept in (m - 1, *halves) if kept > n), n]
