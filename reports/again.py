"""Running the step of a result again, with other numbers of its machine: what its speed-up over dense hangs on."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pandas as pd

from reports.output import tracked
from simulator.job import Job
from simulator.result import Result
from simulator.rows import Row
from simulator.runs import Runs
from simulator.sensitivity.numbers import Move, moves_of, open_numbers
from simulator.sweep.points import evaluate
from simulator.sweep.runner import ERROR
from workloads.errors import UserError
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


class Again:
    """Runs a step again and again with other numbers of its machine. Not frozen: it remembers.

    Products that are the same on two of these machines, vector lanes apart for example, are planned once.
    """

    def __init__(self, job: Job) -> None:
        self._job, self._runs = replace(job, exact=False, dense=True), Runs()
        self._known: dict[tuple[str, ...], Row] = {}

    def row(self, settings: Sequence[str]) -> Row:
        """Totals of the step with these settings on top: cycles, dense_cycles, speedup.

        Raises UserError where it cannot be run again.
        """
        key = tuple(settings)
        if key not in self._known:
            (found,) = evaluate([replace(self._job, settings=(*self._job.settings, *key))], runs=self._runs)
            if ERROR in found:
                raise UserError(str(found[ERROR]))
            self._known[key] = found
        return self._known[key]


def sensitivity_of(result: Result) -> pd.DataFrame:
    """How the speed-up over dense moves as each assumption goes, alone, through its range.

    Raises UserError where the step cannot be run again.
    """
    again, moves = Again(result.card.job), moves_of(open_numbers(result.card.numbers, UNCERTAIN))
    ends = list[tuple[Move, float, float]]()
    for move in tracked(moves, "assumptions"):
        low, high = (float(again.row(move.settings(share))["speedup"]) for share in (0, 1))
        ends.append((move, low, high))
    return sensitivity_table(result.over_baseline, ends)


def ladder_of(job: Job) -> pd.DataFrame:
    """Cycles of the step, dense and sparse, from no optimisation of SAT on, each added to those before it.

    Raises UserError where the step cannot be run again.
    """
    rows, again = [], Again(job)
    for count in range(len(OPTIMISATIONS) + 1):
        found = again.row([f"{switch}=false" for switch in OPTIMISATIONS[count:]])
        name = f"+ {OPTIMISATIONS[count - 1].partition('.')[2].replace('_', ' ')}" if count else "none"
        rows.append({"schedule": name, "dense_cycles": found["dense_cycles"], "sparse_cycles": found["cycles"]})
    return pd.DataFrame(rows).set_index("schedule")


def switch_table(job: Job) -> pd.DataFrame:
    """Cycles of the step, dense and sparse, with each optimisation off in turn.

    Raises UserError where the step cannot be run again.
    """
    rows, again = [], Again(job)
    for switch in ("", *OPTIMISATIONS):
        found = again.row([f"{switch}=false"] if switch else [])
        name = f"without {switch.partition('.')[2]}" if switch else "all on"
        cycles = {"dense_cycles": found["dense_cycles"], "sparse_cycles": found["cycles"]}
        rows.append({"schedule": name, **cycles, "speedup": found["speedup"]})
    return pd.DataFrame(rows).set_index("schedule")
