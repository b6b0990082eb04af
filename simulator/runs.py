"""What has been found out already: timings of programs, and what compilers remember of a machine."""

import gc
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from simulator import kernel
from simulator.program import Program
from simulator.timing import Evaluation, Executable, Timing

Memory = dict[Any, Any]  # of a compiler: only it knows what of


@contextmanager
def without_gc() -> Iterator[None]:
    """Pause the garbage collector: scanning many Program objects, none of them in a cycle, is a third of planning.

    On exit they are moved to the permanent generation and back, so that the next full collection does not scan them.
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

    Steps planned on the same runs share what their compiler found out about the machine, so a loop over patterns or
    batches that hands the same `Runs` to every call plans like products once.

    >>> from simulator import simulate
    >>> runs = Runs()
    >>> first, again = (simulate("sat", "2:8", "resnet9", batch=8, runs=runs) for _ in range(2))
    >>> first.card.cost.commands_evaluated > 0, again.card.cost.commands_evaluated
    (True, 0)
    """

    def __init__(self, exact: bool = False) -> None:
        self.exact = exact
        self.steps = 0
        # programs are kept, so that their ids stay their own
        self._evaluated: dict[int, tuple[Program, Evaluation]] = {}
        self._known: dict[int, tuple[Executable, Timing]] = {}
        self._memories: dict[Hashable, Memory] = {}

    def cycles(self, program: Program) -> int:
        """Cycles of a program, by jumps; for choosing among many."""
        return self._evaluation(program).cycles

    def tried(self, program: Program, limit: int | None) -> int:
        """Cycles of a program that is forgotten unless it takes less than `limit`, as any best so far does."""
        found = kernel.evaluated(program)
        self.steps += found.steps
        if limit is None or found.cycles < limit:
            self._evaluated[id(program)] = (program, found)
        return found.cycles

    def timing(self, work: Executable) -> Timing:
        """What a program or a fabric's product takes. Raises ValueError where it can never go on."""
        known = self._known.get(id(work))
        if known is None:
            known = self._known[id(work)] = (work, self._timing(work))
        return known[1]

    def ends(self, program: Program) -> Mapping[str, int]:
        """The tick at which each engine of a program is done. Raises ValueError where it can never go on."""
        return kernel.ends(program, self.exact)

    def memory(self, owner: Hashable) -> Memory:
        """What `owner` (a compiler for one machine, say) wants to remember from step to step."""
        return self._memories.setdefault(owner, {})

    def _timing(self, work: Executable) -> Timing:
        if isinstance(work, Program) and not self.exact:
            return kernel.timing(work, self._evaluation(work))
        found = work.run(self.exact)
        self.steps += found.steps
        return found

    def _evaluation(self, program: Program) -> Evaluation:
        known = self._evaluated.get(id(program))
        if known is None:
            known = self._evaluated[id(program)] = (program, kernel.evaluated(program))
            self.steps += known[1].steps
        return known[1]
