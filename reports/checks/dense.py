"""The idealised array against the closed forms of dense simulators: exact."""

from dataclasses import replace
from functools import cache

import pandas as pd

from reports.checks.base import Check, CheckSuite, published_rows
from simulator.job import Job, Source
from simulator.runner import run_job
from workloads.provenance import Provenance
from workloads.work import Work


def checks() -> list[Check]:
    """A row a published sum of cycles, each run here again."""
    return [_check(row) for row in published_rows("array")]


DENSE = CheckSuite(checks, order=1)


def _check(row: dict[str, str]) -> Check:
    theirs, tolerance = float(row["value"]), float(row["tolerance"])
    band = (theirs * (1 - tolerance), theirs * (1 + tolerance)) if tolerance else (None, None)
    ops = _ops(row["dataflow"], row["pattern"], row["settings"], row["input_gradient"], row["gemm"])
    return Check(
        machine="dense",
        what=f"{row['what']}, {row['dataflow']}",
        unit="cycles",
        theirs=theirs,
        ours=float(ops.loc[ops["phase"] == row["phase"], "cycles"].sum()),
        provenance=Provenance(row["provenance"]),
        source=row["source"],
        hangs_on="nothing: no latency, no memory" if not tolerance else "their fill and drain",
        theirs_low=band[0],
        theirs_high=band[1],
    )


@cache
def _ops(dataflow: str, pattern: str, settings: str, input_gradient: str, gemm: str) -> pd.DataFrame:
    """The ops of a step on the idealised array; empty texts for what is left as it is."""
    work = Work(gemms=(gemm,)) if gemm else Work(model="resnet18", batch=1)
    job = Job(
        machine=Source("dense"),
        work=replace(work, input_gradient=bool(input_gradient)),
        patterns=(pattern,) if pattern else None,
        settings=(settings,) if settings else (),
        options=(("dataflow", dataflow),),
        dense=False,
    )
    return run_job(job).ops
