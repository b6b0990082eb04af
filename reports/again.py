"""Running the step of a result again, with other numbers of its machine: what its speed-up over dense hangs on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from reports.output import tracked
from simulator.card import Number
from simulator.job import Job
from simulator.result import Result
from simulator.runner import run_job
from workloads.provenance import Provenance

# Numbers that only make sense together: one alone would be throttled by the other.
TOGETHER = (
    ("array.rows", "array.cols"),
    ("array.west_link_operands_per_cycle", "memory.west_port_bytes_per_row_cycle"),
    ("array.north_link_weights_per_cycle", "memory.north_port_bytes_per_col_cycle"),
    ("array.sum_link_values_per_cycle", "memory.output_port_bytes_per_col_cycle"),
    ("memory.west_kib", "memory.north_kib", "memory.output_kib"),
)


@dataclass(frozen=True)
class Variation:
    """Settings to run with at the low and at the high end of a range, what they are called, and what is in force."""

    name: str
    value: str
    low: tuple[str, ...]
    high: tuple[str, ...]


def variations(numbers: Mapping[str, Number]) -> list[Variation]:
    """Every number of a card that is not certain and has a range, alone or together with those it needs beside it."""
    open_numbers = {
        path: number
        for path, number in numbers.items()
        if number.provenance in (Provenance.ASSUMED, Provenance.SECONDARY) and None not in (number.low, number.high)
    }
    grouped = {path for group in TOGETHER for path in group}
    groups = [tuple(path for path in group if path in open_numbers) for group in TOGETHER]
    groups += [(path,) for path in open_numbers if path not in grouped]
    return [_variation(group, open_numbers) for group in groups if group]


def _variation(group: Sequence[str], numbers: Mapping[str, Number]) -> Variation:
    low = tuple(f"{path}={numbers[path].low:.12g}" for path in group)  # 16, also where it was stored as 16.0
    high = tuple(f"{path}={numbers[path].high:.12g}" for path in group)
    return Variation(" and ".join(group), ", ".join(str(numbers[path].value) for path in group), low, high)


def sensitivity_table(base: float, rows: Iterable[tuple[Variation, float, float]]) -> pd.DataFrame:
    """Columns value (in force), low, high (settings), speedup_low, speedup_high, spread; the widest spread first."""
    table = pd.DataFrame(
        [
            {
                "assumption": variation.name,
                "value": variation.value,
                "low": ", ".join(setting.partition("=")[2] for setting in variation.low),
                "high": ", ".join(setting.partition("=")[2] for setting in variation.high),
                "speedup_low": low,
                "speedup_high": high,
                "spread": max(low, high, base) - min(low, high, base),
            }
            for variation, low, high in rows
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
    job, varied = result.card.job, tracked(variations(result.card.numbers), "assumptions")
    ends = [(each, with_settings(job, *each.low).speedup, with_settings(job, *each.high).speedup) for each in varied]
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
