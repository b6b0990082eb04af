"""What 2:4 products and training steps were measured to take on GPUs, row by row beside the rooflines.

A row that a number of the machine file was fitted to is one that the number's source names; all others are judged.
"""

import math
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from reports.checks.base import Check, published_rows
from reports.checks.gpu_steps import STEPS
from reports.rates import scheduled, with_values
from simulator.arch.machine import Machine, load_machine
from simulator.runs import Runs
from workloads.named import with_method
from workloads.op import VectorKind
from workloads.pattern import parse_patterns
from workloads.provenance import Provenance
from workloads.workload import Workload

RANGES = ("tensor.efficiency", "tensor.two_of_four_efficiency", "memory.efficiency")
# A card's machine file, and what differs from it. 80 GB: NVIDIA's A100 data sheet, the SXM card (secondary).
CARDS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "A100": ("a100", {}),
    "A100 SXM": ("a100", {}),
    "A100 80GB": ("a100", {"memory.bandwidth_gb_s": 2039.0, "memory.capacity_gib": 80.0}),
}
UNCOMPILED = ("linear", "mlp", "block")  # kinds of rows that ran without torch's compiler, which fuses nothing
BLOCKS = ("block", "encoder")  # kinds of rows of which the MLPs alone are sparse
METHOD = "torch24"  # one 2:4 weight for both directions, pruned every step
EARLY = "early kernels"  # in the source of rows that other software made
UNITS = {"dense ms": "ms", "2:4 ms": "ms", "speed-up": "x"}
COLUMNS = {"dense ms": "dense_ms", "2:4 ms": "sparse_ms", "speed-up": "ratio"}


def measured_table() -> pd.DataFrame:
    """A row a published one, in the file's order. Of both times (in ms) and of the speed-up: theirs, ours, the relative
    gap, and how far ours moves through the ranges of `RANGES`, one at a time; NaN where unknown.

    `fitted`: the numbers that were fitted to the row. `note`: the same in words, or why there is no model of it.
    """
    return pd.DataFrame([_row(row) for row in published_rows("gpu_measured")])


def error_table(table: pd.DataFrame) -> pd.DataFrame:
    """The mean absolute relative error over rows that nothing was fitted to, and over how many of them: over all, over
    products and steps by later software than the early kernels, and over pruning alone."""
    judged = table[table["fitted"] == ""]
    pruning, early = judged["kind"] == "pruning", judged["source"].str.contains(EARLY)
    groups = {
        "all": judged,
        f"products and steps, not by {EARLY}": judged[~pruning & ~early],
        "pruning and compressing alone": judged[pruning],
    }
    gaps = [(group, name, rows[f"gap, {name}"].abs().dropna()) for group, rows in groups.items() for name in UNITS]
    found = [(group, name, len(each), each.mean()) for group, name, each in gaps if len(each)]
    return pd.DataFrame(found, columns=["rows", "quantity", "number", "mean absolute error"])


def measured_checks() -> list[Check]:
    """For every row its dense time and its speed-up; of pruning alone its time."""
    return [
        _check(row, name)
        for row in measured_table().to_dict("records")
        for name in UNITS
        if not math.isnan(row[name]) and (name != "2:4 ms" or math.isnan(row["speed-up"]))
    ]


def _check(row: Mapping[Hashable, Any], name: str) -> Check:
    ours, low, high = (
        None if math.isnan(row[f"{end}, {name}"]) else row[f"{end}, {name}"] for end in ("ours", "low", "high")
    )
    provenance, source = row["source"].split(": ", 1)
    return Check(
        machine="gpu",
        what=f"{row['card']}: {row['what']}, {name}",
        unit=UNITS[name],
        theirs=row[name],
        ours=ours,
        provenance=Provenance(provenance),
        source=source,
        hangs_on=f"{row['note']}; {', '.join(RANGES)}" if ours else row["note"],
        ours_low=low,
        ours_high=high,
    )


def _row(row: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {"card": row["card"], "what": row["what"], "kind": row["kind"]}
    ours, fitted, note = _modelled(row)
    for name, column in COLUMNS.items():
        theirs = float(row[column] or math.nan)
        mine = [each.get(column, math.nan) for each in ours]
        found |= {name: theirs, f"ours, {name}": mine[0], f"gap, {name}": mine[0] / theirs - 1}
        found |= {f"low, {name}": min(mine), f"high, {name}": max(mine)}
    return {**found, "fitted": fitted, "note": note, "source": f"{row['provenance']}: {row['source']}"}


def _modelled(row: Mapping[str, str]) -> tuple[list[dict[str, float]], str, str]:
    """Times as the machine file stands and at every end of a range, by column; what was fitted to the row; a note."""
    if row["card"] not in CARDS or row["kind"] not in STEPS:
        return [{}], "", f"no model: {'its shapes are not stated' if row['card'] in CARDS else 'a card without a file'}"
    name, differing = CARDS[row["card"]]
    plain = load_machine(name)
    own = {"inference": row["precision"], "training": row["precision"], **differing}
    machine = with_values(plain, {**own, "overhead.fuse_elementwise": row["kind"] not in UNCOMPILED})
    step = STEPS[row["kind"]](*(int(row[size] or 1) for size in ("rows", "inner", "cols")))
    moved = [{path: getattr(plain.origins[path], end)} for path in RANGES for end in ("low", "high")]
    fitted = " and ".join(path for path in RANGES if row["what"] in plain.origins[path].source)
    times = [_times(with_values(machine, values), row["kind"], step) for values in ({}, *moved)]
    return times, fitted, f"fitted: {fitted}" if fitted else "nothing fitted to it"


def _times(machine: Machine, kind: str, step: Workload) -> dict[str, float]:
    """Milliseconds of the step, dense and 2:4, and the speed-up; of pruning alone those of the pruning."""
    patterns = parse_patterns(["*mlp*=2:4" if kind in BLOCKS else "2:4"])
    sparse, runs = with_method(step, METHOD, patterns), Runs()
    if kind == "pruning":
        return {"sparse_ms": _milliseconds(machine, sparse, runs, only=VectorKind.PRUNING)}
    dense_ms, sparse_ms = (_milliseconds(machine, each, runs) for each in (step, sparse))
    return {"dense_ms": dense_ms, "sparse_ms": sparse_ms, "ratio": dense_ms / sparse_ms}


def _milliseconds(machine: Machine, step: Workload, runs: Runs, only: VectorKind | None = None) -> float:
    ops = [each for each in scheduled(machine, step, runs) if only in (None, getattr(each.op, "kind", None))]
    cycles = sum(runs.timing(program).cycles for each in ops for program in each.programs)
    return cycles / machine.spec.clock_mhz / 1e3
