"""A result phase by phase, and the speed-up if only multiply-accumulates counted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from simulator.result import Result

ORDER = ["FF", "BP", "WU", "UP"]
STEP = "step"


@dataclass(frozen=True)
class PhaseRow:
    """One phase, or the whole step.

    utilisation: useful multiply-accumulates over cycles x PEs, NaN where a phase multiplies nothing. speedup: dense
    cycles over cycles (derived), NaN where a phase takes none.
    """

    phase: str
    cycles: int
    seconds: float
    utilisation: float
    dense_cycles: int
    speedup: float


def phases_in(result: Result) -> list[str]:
    """The phases a result has, those of a step in their order."""
    found = list(dict.fromkeys(result.op_columns.get("phase", ())))
    return [phase for phase in ORDER if phase in found] + [phase for phase in found if phase not in ORDER]


def phase_rows(result: Result) -> list[PhaseRow]:
    """FF, BP, WU, UP (those that occur), any other phase, and the step."""
    return [_row(result, phase) for phase in [*phases_in(result), STEP]]


def _row(result: Result, phase: str) -> PhaseRow:
    cycles, dense_cycles = (sum(_of(each, "cycles", phase)) for each in (result, result.baseline))
    useful, room = sum(_of(result, "macs_useful", phase)), cycles * max(_of(result, "pes", phase), default=0)
    return PhaseRow(
        phase=phase,
        cycles=cycles,
        seconds=cycles / result.card.clock_hz,
        utilisation=useful / room if useful and room else math.nan,
        dense_cycles=dense_cycles,
        speedup=dense_cycles / cycles if cycles else math.nan,
    )


def _of(result: Result, name: str, phase: str) -> Sequence[int]:
    """A column of the ops of a phase."""
    columns = result.op_columns
    values = zip(columns.get(name, ()), columns.get("phase", ()), strict=True)
    return [value for value, its_phase in values if phase in (STEP, its_phase)]


def arithmetic_ceiling(result: Result) -> float:
    """Speed-up if only multiply-accumulates counted: dense ones over kept ones, over the step's own op list."""
    useful, skipped = (sum(result.op_columns.get(name, ())) for name in ("macs_useful", "macs_skipped"))
    return (useful + skipped) / useful if useful else math.nan
