"""Cycles of each op of a step whose ops overlap: from the end of the one before it to its own."""

from collections.abc import Sequence
from itertools import pairwise

from simulator.overlap import Link, done
from simulator.program import Program
from simulator.runs import Runs
from simulator.schedule import Schedule, ScheduledOp


def step_cycles(schedule: Schedule, runs: Runs) -> list[int]:
    """Cycles of every op, in order; nothing for a step whose ops are separated by barriers.

    A product with vector work behind it has its own cycles, at most what all of it takes, and the vector work the rest.
    Raises ValueError for a program that can never go on.
    """
    if all(scheduled.waits is None for scheduled in schedule):
        return []
    units = _units(schedule)
    links = [_links(unit) for unit in units]
    ticks = done([link for each in links for link in each], runs.ends)
    ends, at = [0], -1
    for each in links:
        at += len(each)
        ends.append(ticks[at])
    found = list[int]()
    for unit, (start, end) in zip(units, pairwise(ends), strict=True):
        found += _shared(unit, end - start, runs)
    return found


def _units(schedule: Schedule) -> list[list[ScheduledOp]]:
    """Every op with those behind it."""
    found = list[list[ScheduledOp]]()
    for scheduled in schedule:
        if scheduled.is_behind:
            found[-1].append(scheduled)
        else:
            found.append([scheduled])
    return found


def _links(unit: Sequence[ScheduledOp]) -> list[Link]:
    first = unit[0]
    programs = [program for program in first.programs if isinstance(program, Program)]  # fabrics have no overlap
    after = tuple[Program, ...]()
    if first.behind is not None:
        programs[-1], after = first.behind.program, first.behind.after
    links = [Link(program, first.waits if number == 0 else frozenset()) for number, program in enumerate(programs)]
    return [*links, *(Link(program, None) for program in after)]


def _shared(unit: Sequence[ScheduledOp], cycles: int, runs: Runs) -> list[int]:
    """A unit's cycles, the first op's own first and then each other one's."""
    shares = list[int]()
    for scheduled in unit[:-1]:
        alone = sum(runs.timing(program).cycles for program in scheduled.programs)
        shares.append(min(alone, cycles - sum(shares)))
    return [*shares, cycles - sum(shares)]
