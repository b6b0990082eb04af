"""Running a program: cycles, stalls and actions, the same from both readers."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from simulator import kernel
from simulator.kernel.maxplus import MANY, evaluate, evaluator
from simulator.kernel.tables import tabulate
from simulator.program import Program
from simulator.timing import Evaluation, Timing

if TYPE_CHECKING:
    from simulator.kernel.events import ExactRun

Key = TypeVar("Key")


def run(program: Program, exact: bool = False) -> Timing:
    """Run a program; `exact` makes every command an event. Raises ValueError when it can never go on."""
    return _run_exact(program) if exact else timing(program, evaluated(program))


def evaluated(program: Program) -> Evaluation:
    """A program run by jumps. Raises ValueError when it can never go on."""
    tables = tabulate(program)
    ends, waits, steps = evaluate(tables)
    done = dict(zip(tables.engines, ends, strict=True))
    return Evaluation(max(done.values()), dict(zip(tables.causes, waits, strict=True)), steps, done)


def ends(program: Program, exact: bool = False) -> Mapping[str, int]:
    """The tick at which each engine is done. Raises ValueError when the program can never go on."""
    found = evaluated(program)
    return _exactly(program)[0].ends() if exact else found.ends


def timing(program: Program, found: Evaluation) -> Timing:
    """A run by jumps with what the program itself says: stalls inside commands, and actions."""
    inner = program.inner_stalls()
    stalls = Counter(found.waits)
    stalls.update(inner)
    busy = program.lead_ticks() - sum(inner.values())
    return Timing(found.cycles, busy, _positive(stalls), _positive(program.actions()), found.steps)


def load_kernel() -> None:
    """Go on with numba's form of the reader: for a process that has much to evaluate, or measures it."""
    evaluator().done = MANY
    run(Program("", (), ()))


def _run_exact(program: Program) -> Timing:
    job, cycles = _exactly(program)
    return Timing(cycles, job.busy_ticks, _positive(job.waits), _positive(job.amounts), job.steps)


def _exactly(program: Program) -> "tuple[ExactRun, int]":
    evaluate(tabulate(program))  # refuses what is no program, in the same words
    job = kernel.ExactRun(program)  # SimPy's, which the default reader does without
    return job, job.run()


def _positive(amounts: Mapping[Key, int]) -> dict[Key, int]:
    return {key: amount for key, amount in amounts.items() if amount}
