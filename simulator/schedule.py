"""What a machine is given: the ops of a step, each with the programs that carry it out."""

from dataclasses import dataclass

from simulator.program import Program
from simulator.run import Timing, fast_cycles, run
from workloads.op import Op


@dataclass(frozen=True)
class ScheduledOp:
    """An op and its programs, run one after the other.

    `dataflow` names the compiler, `detail` its choices. `macs_useful` are multiply-accumulates on kept elements and
    `macs_skipped` those of the dense product that the pattern saves; their sum is the op's. `pes` multiply at once.
    `last_cycle_index`: cycles are counted from 0, one less than their number.
    """

    op: Op
    programs: tuple[Program, ...]
    dataflow: str
    detail: str
    macs_useful: int = 0
    macs_skipped: int = 0
    pes: int = 0
    last_cycle_index: bool = False


class Runs:
    """Timings of programs, each run once: programs that are the same object take the same time."""

    def __init__(self, exact: bool = False) -> None:
        self.exact = exact
        self.steps = 0
        # programs are kept, so that their ids stay their own
        self._known: dict[int, tuple[Program, Timing]] = {}
        self._cycles: dict[int, tuple[Program, int]] = {}

    def cycles(self, program: Program) -> int:
        """Cycles of a program, by jumps; for choosing among many."""
        known = self._cycles.get(id(program))
        if known is None:
            cycles, steps = fast_cycles(program)
            self.steps += steps
            known = self._cycles[id(program)] = (program, cycles)
        return known[1]

    def timing(self, program: Program) -> Timing:
        known = self._known.get(id(program))
        if known is None:
            known = (program, run(program, self.exact))
            self._known[id(program)] = known
            self.steps += known[1].steps
        return known[1]
