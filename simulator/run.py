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


@dataclass(frozen=True)
class Evaluation:
    """What the default reader makes of a program: cycles, waits of the lead engine by cause, commands evaluated."""

    cycles: int
    waits: tuple[int, ...]
    steps: int


def run(program: Program, exact: bool = False) -> Timing:
    """Run a program; `exact` makes every command an event. Raises ValueError when it can never go on."""
    return _run_exact(program) if exact else timing(program, evaluated(program))


def evaluated(program: Program) -> Evaluation:
    """A program run by jumps. Raises ValueError when it can never go on."""
    cycles, waits, steps = evaluate(tabulate(program))
    return Evaluation(cycles, tuple(waits.tolist()), steps)


def timing(program: Program, found: Evaluation) -> Timing:
    """A run by jumps with what the program itself says: stalls inside commands, and actions."""
    inner = program.inner_stalls()
    stalls = Counter(dict(zip(CAUSES, found.waits, strict=True)))
    stalls.update(inner)
    busy = program.lead_ticks() - sum(inner.values())
    return Timing(found.cycles, busy, _positive(stalls), _positive(program.actions()), found.steps)


def _run_exact(program: Program) -> Timing:
    evaluate(tabulate(program))  # refuses what is no program, in the same words
    job = ExactRun(program)
    cycles = job.run()
    return Timing(cycles, job.busy_ticks, _positive(job.waits), _positive(job.amounts), job.steps)


def _positive(amounts: Mapping[Key, int]) -> dict[Key, int]:
    return {key: amount for key, amount in amounts.items() if amount}
