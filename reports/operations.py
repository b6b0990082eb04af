"""The arithmetic operations of a training step, and which of them a backend does."""

import pandas as pd

from workloads.op import MatrixOp, Op, VectorKind
from workloads.workload import Workload

COUNTED = (
    "A multiply-accumulate is one operation, counted where the pattern keeps its weight; an update is one for each "
    "weight, its masks and copies included, and other vector work one for each element it makes, whatever it does to it"
)
ORDER = ["what", "where"]


def operations(step: Workload) -> pd.DataFrame:
    """A row for every kind of work of a step: `what`, `where` (backend or host), and `operations`."""
    rows = [{"what": _what(op), "where": _where(op), "operations": _count(op)} for op in step.ops]
    frame = pd.DataFrame(rows, columns=[*ORDER, "operations"])
    return frame.groupby(ORDER, sort=False)[["operations"]].sum().reset_index()


def share_of_backend(table: pd.DataFrame) -> float:
    """The share of the operations that the backend does; 0 of none."""
    done = table.loc[table["where"] == "backend", "operations"].sum()
    return float(done) / max(1.0, float(table["operations"].sum()))


def _what(op: Op) -> str:
    if isinstance(op, MatrixOp):
        return f"products of {op.phase}"
    return "updates" if op.kind is VectorKind.UPDATE else f"{op.kind} in {op.phase}"


def _where(op: Op) -> str:
    return "backend" if isinstance(op, MatrixOp) or op.kind is VectorKind.UPDATE else "host"


def _count(op: Op) -> float:
    """As `COUNTED` says."""
    if not isinstance(op, MatrixOp):
        return float(op.count * op.elements)
    length = op.inner // op.segments
    return op.macs * op.right.pattern.kept(length) / length
