"""Running a program: cycles, stalls and actions, the same from both readers."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from simulator.kernel.events import ExactRun
from simulator.kernel.maxplus import evaluate
from simulator.kernel.tables import CAUSES, tabulate
from simulator.program import Program, Stall

Key = TypeVar("Key")


@dataclass(frozen=True)
class Timing:
    """One run of one program, in cycles of the lead engine; busy + stalls = cycles.

    `steps` counts the commands evaluated: what the run cost, not what it models.
    """

    cycles: int
    busy: int
    stalls: Mapping[Stall, int]
    actions: Mapping[tuple[str, str], int]
    steps: int


def run(program: Program, exact: bool = False) -> Timing:
    """Run a program; `exact` makes every command an event. Raises ValueError when it can never go on."""
    return _run_exact(program) if exact else _run_fast(program)


def fast_cycles(program: Program) -> tuple[int, int]:
    """Cycles of a program alone, and the commands evaluated for them."""
    cycles, _, steps = evaluate(tabulate(program))
    return cycles, steps


def _run_fast(program: Program) -> Timing:
    cycles, waits, steps = evaluate(tabulate(program))
    stalls = Counter({cause: int(ticks) for cause, ticks in zip(CAUSES, waits, strict=True)})
    stalls.update(program.inner_stalls())
    busy = program.engine_ticks()[program.lead] - sum(program.inner_stalls().values())
    return Timing(cycles, busy, _positive(stalls), _positive(program.actions()), steps)


def _run_exact(program: Program) -> Timing:
    evaluate(tabulate(program))  # refuses what is no program, in the same words
    job = ExactRun(program)
    cycles = job.run()
    return Timing(cycles, job.busy_ticks, _positive(job.waits), _positive(job.amounts), job.steps)


def _positive(amounts: Mapping[Key, int]) -> dict[Key, int]:
    return {key: amount for key, amount in amounts.items() if amount}
