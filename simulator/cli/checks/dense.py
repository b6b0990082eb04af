"""The idealised array against the closed forms of dense simulators: exact."""

import csv
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from reports.checks import Check


def checks() -> "list[Check]":
    """A row a published sum of cycles, each run here again."""
    from reports.checks import Check
    from reports.published import PUBLISHED
    from workloads.provenance import Provenance

    found = []
    with (PUBLISHED / "array.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            theirs, tolerance = float(row["value"]), float(row["tolerance"])
            band = (theirs * (1 - tolerance), theirs * (1 + tolerance)) if tolerance else (None, None)
            ops = _run(row["dataflow"], row["pattern"], row["settings"], row["input_gradient"], row["gemm"])
            found.append(
                Check(
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
            )
    return found


@cache
def _run(dataflow: str, pattern: str, settings: str, input_gradient: str, gemm: str) -> "pd.DataFrame":
    """The ops of a step on the idealised array."""
    from simulator.cli.choices import Choices
    from simulator.cli.job import run_job

    choices = Choices("dense", (pattern,) if pattern else (), "bdwp", dataflow=dataflow)
    choices = replace(choices, settings=(settings,) if settings else (), input_gradient=bool(input_gradient))
    work = replace(choices, gemms=(gemm,)) if gemm else replace(choices, model="resnet18", batch=1)
    return run_job(work, ["simulate", "validate"]).sparse.ops
