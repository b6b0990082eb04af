"""Where the rest of the ideal went: the step's cycles by what they were spent on, sparse beside dense.

Every cycle of the step is in exactly one term, so each column sums to the step. Products count with their useful
multiply-accumulates over all PEs; cycles in which some PEs idle at the edges of tiles are a term apart. `speedup` is
that of all terms down to the row: it begins at what the pattern alone gives and ends at the step's own.
"""

import pandas as pd

from simulator.program import Stall
from simulator.result import Result

STALL_NAMES = {
    Stall.FILL_DRAIN: "fill and drain",
    Stall.LATENCY: "pipeline latency",
    Stall.LINKS: "operand links and ports",
    Stall.MEMORY: "waiting for DRAM",
    Stall.SORE: "waiting for SORE",
    Stall.TRANSPOSE: "waiting for the transposer",
    Stall.SPILL: "partial sums spilled",
    Stall.WUVE: "waiting for WUVE",
    Stall.ARRAY: "waiting for the array",
    Stall.VECTOR: "waiting for vector units",
    Stall.NETWORK: "waiting for the network",
    Stall.HOST: "waiting for the host",
    Stall.LAUNCH: "starting the work",
    Stall.SCRATCHPAD: "waiting for the scratchpad",
    Stall.ATOMIC: "waiting for atomics",
    Stall.DMA: "waiting for DMA engines",
    Stall.SERIAL: "single-threaded parts",
    Stall.IDLE: "threads without work",
}


def loss_table(sparse: Result, dense: Result) -> pd.DataFrame:
    """Rows terms, columns dense_cycles, cycles, share (of the sparse step), speedup (of all terms so far)."""
    groups = _groups(sparse.ops)
    spent = pd.DataFrame({"dense_cycles": _spent(dense.ops, groups), "cycles": _spent(sparse.ops, groups)})
    spent = spent.fillna(0).astype("int64")
    spent = spent[(spent != 0).any(axis=1)]
    spent["share"] = spent["cycles"] / max(1, int(spent["cycles"].sum()))
    spent["speedup"] = spent["dense_cycles"].cumsum() / spent["cycles"].cumsum()
    return spent


def _groups(ops: pd.DataFrame) -> "pd.Series[str]":
    """What an op is for, seen from the sparse run; its rows stand beside the dense run's."""
    group = pd.Series("other products, dense", index=ops.index)
    group[ops["phase"] == "WU"] = "weight gradients (WU), dense"
    group[ops["pattern"] != "dense"] = "products made sparse"
    group[ops["kind"] != "product"] = "vector work"
    group[ops["kind"] == "update"] = "weight update"
    return group


def _spent(ops: pd.DataFrame, groups: "pd.Series[str]") -> "pd.Series[int]":
    products = ops["kind"] == "product"
    order = ["products made sparse", "weight gradients (WU), dense", "other products, dense"]
    pes = max(1, int(ops["pes"].max()))
    terms = {name: round(int(ops.loc[products & (groups == name), "macs_useful"].sum()) / pes) for name in order}
    idle = int(ops.loc[products, "busy_cycles"].sum()) - sum(terms.values())
    for name in ("weight update", "vector work"):
        terms[name] = int(ops.loc[groups == name, "cycles"].sum())
    terms["idle PEs at edges"] = idle
    for stall, name in STALL_NAMES.items():
        terms[name] = int(ops.loc[products, f"stall_{stall.value}"].sum())
    return pd.Series(terms)
