"""Running the step of a result again, with other numbers of its machine."""

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.cli.choices import Choices
from simulator.cli.job import run_job

OPTIMISATIONS = (
    "schedule.offline",
    "schedule.interleave",
    "schedule.pregenerate",
    "sore.tile_buffer",
    "vector.fuse_elementwise",
)

if TYPE_CHECKING:
    import pandas as pd

    from simulator.result import Result


def choices_of(result: "Result") -> Choices:
    """What the result was run with. Raises UserError for a result that does not say."""
    from workloads.errors import UserError

    kept = result.card.get("choices")
    if not kept or set(kept) != {each.name for each in fields(Choices)}:
        raise UserError("its card does not say what it was run with")
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in kept.items()}
    for name in ("topology", "workload"):
        values[name] = None if values[name] is None else Path(values[name])
    return Choices(**values)


def sensitivity_of(result: "Result") -> "pd.DataFrame":
    """How the speed-up over dense moves as each assumption goes, alone, through its range."""
    from rich.console import Console
    from rich.progress import track

    from reports.sensitivity import sensitivity_table, variations
    from simulator.machine import load_arch

    base = choices_of(result)
    numbers = {path: entry["value"] for path, entry in result.card["numbers"].items()}
    varied = variations(load_arch(base.arch, base.settings).origins, numbers)

    def at(settings: tuple[str, ...]) -> float:
        job = run_job(replace(base, settings=(*base.settings, *settings), exact=False), [])
        return job.dense.cycles / job.sparse.cycles

    dense = result.dense or result
    steps = track(varied, description="assumptions", transient=True, console=Console(stderr=True))
    return sensitivity_table(dense.cycles / result.cycles, [(each, at(each.low), at(each.high)) for each in steps])


def ladder_of(base: Choices) -> "pd.DataFrame":
    """Cycles of the step, dense and sparse, from no optimisation of SAT on, each added to those before it."""
    import pandas as pd

    rows = []
    for count in range(len(OPTIMISATIONS) + 1):
        off = tuple(f"{switch}=false" for switch in OPTIMISATIONS[count:])
        job = run_job(replace(base, settings=(*base.settings, *off), exact=False), [])
        name = f"+ {OPTIMISATIONS[count - 1].partition('.')[2].replace('_', ' ')}" if count else "none"
        rows.append({"schedule": name, "dense_cycles": job.dense.cycles, "sparse_cycles": job.sparse.cycles})
    return pd.DataFrame(rows).set_index("schedule")
