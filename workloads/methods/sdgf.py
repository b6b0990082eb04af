"""SdGf, structure-decay gradient flow (arXiv 2402.04744): the pattern itself changes during the run.

At every step it is STE with the pattern of the phase the run is in; phases are equally long and end in the pattern that
was asked for. So the pattern is recorded for each step, and m may change too.

| schedule  | phases for n:m                                 | at 1:8                         |
| sparsify  | m-1:m, m/2:m, m/4:m, ... n:m                   | 7:8, 4:8, 2:8, 1:8             |
| geometric | 8n:8m, 4n:4m, 2n:2m, n:m                       | 8:64, 4:32, 2:16, 1:8          |
| densify   | n:8m, n:4m, n:2m, n:m                          | 1:64, 1:32, 1:16, 1:8          |

The three are those of the authors' code; that `sparsify` is the default is assumed.
"""

from dataclasses import dataclass
from enum import StrEnum

from workloads.methods.base import WEIGHT_OF_FF, Known, Method, Scheduled, Tensor, largest_of_inputs, refuse_unless
from workloads.pattern import MAX_GROUP, Pattern, PatternKind

TIMES = (8, 4, 2, 1)


class Schedule(StrEnum):
    SPARSIFY = "sparsify"
    GEOMETRIC = "geometric"
    DENSIFY = "densify"


@dataclass(frozen=True)
class Phases(Scheduled):
    """Equally long phases, each with a pattern of its own."""

    schedule: Schedule = Schedule.SPARSIFY

    def phases(self, pattern: Pattern) -> tuple[Pattern, ...]:
        """The patterns of a run that is to end in n:m. Raises Refused where groups would become too large."""
        n, m = pattern.n, pattern.m
        if self.schedule is Schedule.SPARSIFY:
            return tuple(Pattern(PatternKind.NM, kept, m) for kept in _falling(n, m))
        largest = m * TIMES[0]
        refuse_unless(
            largest <= MAX_GROUP,
            f"schedule '{self.schedule}' starts with groups of {largest}; more than {MAX_GROUP} are not supported",
        )
        grows = self.schedule is Schedule.GEOMETRIC
        return tuple(Pattern(PatternKind.NM, n * times if grows else n, m * times) for times in TIMES)

    def in_force(self, pattern: Pattern, step: int) -> Pattern:
        phases = self.phases(pattern)
        return phases[min(int(self.progress(step) * len(phases)), len(phases) - 1)]

    def mask(self, weight: Tensor, pattern: Pattern, known: Known, step: int) -> Tensor:
        return largest_of_inputs(weight, self.in_force(pattern, step))


def _falling(n: int, m: int) -> list[int]:
    """m - 1, m/2, m/4 and so on down to n, without repeats."""
    halves = [m >> times for times in range(1, m.bit_length())]
    return [*dict.fromkeys(kept for kept in (m - 1, *halves) if kept > n), n]


PHASES = Phases()
SDGF = Method(
    name="sdgf",
    trains=(PatternKind.NM,),
    sparse=(WEIGHT_OF_FF,),
    in_force=PHASES.in_force,
    forward_mask=PHASES.mask,
)
