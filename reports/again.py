"""Running the step of a result again, with other numbers of its machine."""

from dataclasses import replace

import pandas as pd
from rich.console import Console
from rich.progress import track

from reports.sensitivity import sensitivity_table, variations
from simulator.job import Job
from simulator.result import Result
from simulator.runner import run_job

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
    varied = variations(result.card.numbers)
    steps = track(varied, description="assumptions", transient=True, console=Console(stderr=True))

    def at(settings: tuple[str, ...]) -> float:
        return with_settings(result.card.job, *settings).speedup

    ends = [(each, at(each.low), at(each.high)) for each in steps]
    return sensitivity_table(result.baseline.cycles / result.cycles, ends)


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
