"""Running the step of a result again, with other numbers of its machine: what its speed-up over dense hangs on."""

from collections.abc import Iterable
from dataclasses import replace

import pandas as pd

from reports.output import tracked
from simulator.job import Job
from simulator.result import Result
from simulator.runner import run_job
from simulator.sensitivity.numbers import Move, moves_of, open_numbers
from workloads.provenance import Provenance

# Their ranges are gone through one by one: what a third party says of a machine is not certain either.
UNCERTAIN = (Provenance.ASSUMED, Provenance.SECONDARY)


def sensitivity_table(base: float, rows: Iterable[tuple[Move, float, float]]) -> pd.DataFrame:
    """Columns value (in force), low, high (settings), speedup_low, speedup_high, spread; the widest spread first."""
    table = pd.DataFrame(
        [
            {
                "assumption": move.name,
                "value": ", ".join(each.text(each.value) for each in move.numbers),
                "low": ", ".join(each.text(each.low) for each in move.numbers),
                "high": ", ".join(each.text(each.high) for each in move.numbers),
                "speedup_low": low,
                "speedup_high": high,
                "spread": max(low, high, base) - min(low, high, base),
            }
            for move, low, high in rows
        ]
    )
    return table.sort_values("spread", ascending=False, kind="stable").set_index("assumption")


OPTIMISATIONS = (
    "schedule.offline",
    "schedule.interleave",
    "schedule.pregenerate",
    "sore.tile_buffer",
    "vector.fuse_elementwise",
)


def with_settings(job: Job, *settings: str) -> Result:
    """The job run with more settings, beside its dense schedule. Raises UserError where it cannot be run again."""
    return run_job(replace(job, settings=(*job.settings, *settings), exact=False, dense=True))


def sensitivity_of(result: Result) -> pd.DataFrame:
    """How the speed-up over dense moves as each assumption goes, alone, through its range.

    Raises UserError where the step cannot be run again.
    """
    job, moves = result.card.job, moves_of(open_numbers(result.card.numbers, UNCERTAIN))
    ends = [
        (move, with_settings(job, *move.settings(0)).speedup, with_settings(job, *move.settings(1)).speedup)
        for move in tracked(moves, "assumptions")
    ]
    return sensitivity_table(result.over_baseline, ends)


def ladder_of(job: Job) -> pd.DataFrame:
    """Cycles of the step, dense and sparse, from no optimisation of SAT on, each added to those before it.

    Raises UserError where the step cannot be run again.
    """
    rows = []
    for count in range(len(OPTIMISATIONS) + 1):
        found = with_settings(job, *(f"{switch}=false" for switch in OPTIMISATIONS[count:]))
        name = f"+ {OPTIMISATIONS[count - 1].partition('.')[2].replace('_', ' ')}" if count else "none"
        rows.append({"schedule": name, "dense_cycles": found.baseline.cycles, "sparse_cycles": found.cycles})
    return pd.DataFrame(rows).set_index("schedule")
