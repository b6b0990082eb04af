"""What a machine is given: the ops of a step, each with the programs that carry it out."""

import gc
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rtl.timing import Reduction
from simulator.program import Program
from simulator.run import Evaluation, Timing, evaluated, run, timing
from workloads.op import Op


@dataclass(frozen=True)
class ArrayPart:
    """What one program of a product asks of a systolic array: `count` products of rows x cols over a reduction.

    `interleave` outputs a PE, in different rows of the product with `share_weights`, otherwise in different columns
    (output stationary); `block` positions a fold (weight stationary). `array_cycles`: the array's own, waits left out.
    """

    dataflow: str
    rows: int
    cols: int
    count: int
    reduction: Reduction
    interleave: int
    share_weights: bool
    block: int
    array_cycles: int


@dataclass(frozen=True)
class ScheduledOp:
    """An op and its programs, run one after the other.

    `dataflow` names the compiler, `detail` its choices. `macs_useful` are multiply-accumulates on kept elements and
    `macs_skipped` those of the dense product that the pattern saves; their sum is the op's. `pes` multiply at once.
    `last_cycle_index`: cycles are counted from 0, one less than their number. `parts`: for a product on a systolic
    array, what each program does there.
    """

    op: Op
    programs: tuple[Program, ...]
    dataflow: str
    detail: str
    macs_useful: int = 0
    macs_skipped: int = 0
    pes: int = 0
    last_cycle_index: bool = False
    parts: tuple[ArrayPart, ...] = ()


@contextmanager
def uncollected() -> Iterator[None]:
    """Programs are many small objects without cycles: looking for cycles among them is a third of planning.

    Afterwards they count as old, so that the next look for cycles, which would be at all of them, passes them by.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            if not gc.get_freeze_count():  # else somebody else's frozen objects would thaw
                gc.freeze()
                gc.unfreeze()
            gc.enable()


class Runs:
    """Timings of programs, each run once: programs that are the same object take the same time.

    Steps planned on the same runs share what their compiler found out about the machine.
    """

    def __init__(self, exact: bool = False) -> None:
        self.exact = exact
        self.steps = 0
        # programs are kept, so that their ids stay their own
        self._evaluated: dict[int, tuple[Program, Evaluation]] = {}
        self._known: dict[int, tuple[Program, Timing]] = {}
        self._memories: dict[Hashable, dict[Any, Any]] = {}

    def cycles(self, program: Program) -> int:
        """Cycles of a program, by jumps; for choosing among many."""
        return self._evaluation(program).cycles

    def tried(self, program: Program, limit: int | None) -> int:
        """Cycles of a program that is forgotten unless it takes less than `limit`, as any best so far does."""
        found = evaluated(program)
        self.steps += found.steps
        if limit is None or found.cycles < limit:
            self._evaluated[id(program)] = (program, found)
        return found.cycles

    def timing(self, program: Program) -> Timing:
        known = self._known.get(id(program))
        if known is None:
            known = self._known[id(program)] = (program, self._timing(program))
        return known[1]

    def memory(self, owner: Hashable) -> dict[Any, Any]:
        """What `owner` (a compiler for one machine, say) wants to remember from step to step."""
        return self._memories.setdefault(owner, {})

    def _timing(self, program: Program) -> Timing:
        if not self.exact:
            return timing(program, self._evaluation(program))
        found = run(program, exact=True)
        self.steps += found.steps
        return found

    def _evaluation(self, program: Program) -> Evaluation:
        known = self._evaluated.get(id(program))
        if known is None:
            known = self._evaluated[id(program)] = (program, evaluated(program))
            self.steps += known[1].steps
        return known[1]
