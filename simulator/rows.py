"""A schedule as the rows of a result, a row an op and a row an action of an op; and as totals, for sweeps."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import TypeVar

from simulator.op_cycles import step_cycles
from simulator.overlap import adjusted
from simulator.program import STALLS, Stall
from simulator.runs import Runs
from simulator.schedule import Schedule, ScheduledOp
from simulator.timing import Timing
from workloads.errors import UserError
from workloads.op import MatrixOp, Phase, VectorOp

Key = TypeVar("Key")
Row = dict[str, str | int | float]
Amounts = Counter[tuple[str, str]]
Show = Callable[[int, int, str], None]  # how many are done, of how many, and more in words
LARGEST = 2**62  # what a column of 64-bit integers may sum to
COUNTED = ("cycles", "macs_useful", "macs_padded", "macs_skipped")
ACTIONS = ("op", "kind", "tensor", "amount")
AS_STORED = "as stored"  # the pattern of sparse matrices


def silent(done: int, total: int, words: str) -> None:
    """Shows nothing."""


def op_rows(schedule: Schedule, runs: Runs, show: Show = silent) -> list[Row]:
    """A row an op, in the order of the step, with a column for each stall any kind of machine has or that occurred.

    Raises ValueError for a program that can never go on, and UserError where counts do not fit 64 bits.
    """
    causes = causes_of(schedule, runs)
    rows, in_step = [], step_cycles(schedule, runs)
    for number, scheduled in enumerate(schedule, 1):
        cycles = in_step[number - 1] if in_step else None
        rows.append(_row(scheduled, _timings(scheduled, runs), causes, cycles))
        show(number, len(schedule), f"{rows[-1]['layer']} {rows[-1]['phase']}")
    for column in COUNTED:
        _check_size(sum(int(row[column]) for row in rows), column)
    return rows


def _check_size(size: int, noun: str) -> None:
    if size >= LARGEST:
        raise UserError(f"the step is too large: its {noun} do not fit 64 bits; take a smaller one")


def causes_of(schedule: Schedule, runs: Runs) -> tuple[Stall, ...]:
    """The stalls that results have columns for: ours, and each other one that occurs."""
    met = chain.from_iterable(each.stalls for scheduled in schedule for each in _timings(scheduled, runs))
    return tuple(dict.fromkeys([*STALLS, *met]))


def actions_of(schedule: Schedule, runs: Runs) -> list[Amounts]:
    """Amounts by (kind, tensor) of every op, in order and sorted. Raises UserError where they do not fit 64 bits."""
    sums = [total(timing.actions for timing in _timings(scheduled, runs)) for scheduled in schedule]
    for (kind, tensor), amount in total(sums).items():
        _check_size(amount, f"amounts of {kind} {tensor}".rstrip())
    return [Counter(dict(sorted(each.items()))) for each in sums]


def totals(rows: Sequence[Row], actions: Sequence[Amounts], clock_hz: float) -> Row:
    """A step in one row: cycles, those of each phase and of each stall, what was of use, and bytes of DRAM."""
    summed = ["cycles", *(name for name in rows[0] if name.startswith("stall_")), "busy_cycles", "macs_useful"]
    sums = {name: sum(int(row[name]) for row in rows) for name in summed}
    cycles, pes = sums["cycles"], max(int(row["pes"]) for row in rows)
    amounts = total(actions)
    return {
        "cycles": cycles,
        "seconds": cycles / clock_hz,
        **{f"{phase.value.lower()}_cycles": _of_phase(rows, phase) for phase in Phase},
        **{name: amount for name, amount in sums.items() if name != "cycles"},
        "utilisation": sums["macs_useful"] / (cycles * pes) if cycles and pes else 0.0,
        "dram_bytes": sum(amount for (kind, _), amount in amounts.items() if kind in ("dram.read", "dram.write")),
    }


def _of_phase(rows: Sequence[Row], phase: Phase) -> int:
    return sum(int(row["cycles"]) for row in rows if row["phase"] == phase.value)


def _timings(scheduled: ScheduledOp, runs: Runs) -> list[Timing]:
    return [runs.timing(program) for program in scheduled.programs]


def total(counts: Iterable[Mapping[Key, int]]) -> Counter[Key]:
    """The sum of several amounts by key."""
    found: Counter[Key] = Counter()
    for each in counts:
        found.update(each)
    return found


def _row(scheduled: ScheduledOp, timings: Sequence[Timing], causes: Sequence[Stall], in_step: int | None = None) -> Row:
    """A row of an op; `in_step`: its cycles in a step whose ops overlap."""
    stalls = total(timing.stalls for timing in timings)
    cycles, busy = sum(timing.cycles for timing in timings), sum(timing.busy for timing in timings)
    lanes = busy * scheduled.pes
    if in_step is not None:
        found = adjusted(Timing(cycles, busy, stalls, {}, 0), in_step)
        cycles, busy, stalls = found.cycles, found.busy, Counter(found.stalls)
    if scheduled.last_cycle_index and cycles:
        cycles -= 1
        if stalls[Stall.FILL_DRAIN]:
            stalls[Stall.FILL_DRAIN] -= 1
        else:
            busy -= 1
    pads = scheduled.pads and isinstance(scheduled.op, MatrixOp)
    return {
        **_named(scheduled),
        "cycles": cycles,
        "busy_cycles": busy,
        **{f"stall_{cause}": stalls[cause] for cause in causes},
        "macs_useful": scheduled.macs_useful,
        "macs_padded": lanes - scheduled.macs_useful if pads else 0,
        "macs_skipped": scheduled.macs_skipped,
        "pes": scheduled.pes,
    }


def _named(scheduled: ScheduledOp) -> Row:
    """What the op is called, how it is done, and its sizes."""
    op = scheduled.op
    how: Row = {"dataflow": scheduled.dataflow, "detail": scheduled.detail}
    if isinstance(op, MatrixOp):
        sizes: Row = {"rows": op.rows, "cols": op.cols, "inner": op.inner, "count": op.count}
        pattern = str(op.right.pattern)
        return {"layer": op.layer, "phase": op.phase.value, "kind": "product", **how, **sizes, "pattern": pattern}
    if isinstance(op, VectorOp):
        sizes = {"rows": op.elements, "cols": 1, "inner": 1, "count": op.count}
        return {"layer": op.layer, "phase": op.phase.value, "kind": op.kind.value, **how, **sizes, "pattern": "dense"}
    sizes = {"rows": op.left.rows, "cols": op.right.cols, "inner": op.left.cols, "count": 1}
    return {"layer": op.name, "phase": "product", "kind": "product", **how, **sizes, "pattern": AS_STORED}
