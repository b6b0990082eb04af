"""What the step's cycles were spent on: where the rest of the ideal went, a phase's time by cause, and ceilings.

Every cycle of the step is in exactly one term, so each column sums to the step. Products count with their useful
multiply-accumulates over all PEs; cycles in which some PEs idle at the edges of tiles are a term apart. `speedup` is
that of all terms down to the row: it begins at what the pattern alone gives and ends at the step's own.
"""

import math
from collections.abc import Iterable, Mapping

import pandas as pd

from simulator.frames import arithmetic_ceiling, phases_in
from simulator.result import Result

COMPUTE, EDGES, VECTOR, UPDATE = "multiplying", "idle PEs at edges", "vector work", "weight update (WUVE)"
PRUNING = "pruning and packing weights"  # for sparse units that multiply them, where no unit does it on the way
OTHER = "other instructions"  # of pipelines, which do more than multiply
# The columns of ceilings: the speed-up of all terms down to this one.
STEPS = {
    "products made sparse": "pattern",
    "weight gradients (WU), dense": "with WU",
    "other products, dense": "with dense layers",
    "weight update": "with update",
    "vector work": "with vector work",
    "idle PEs at edges": "with edges",
    "fill and drain": "with fill",
}


def ratio(part: float, whole: float) -> float:
    """One over the other; NaN where there is nothing to divide by."""
    return part / whole if whole else math.nan


def stall_words(result: Result) -> dict[str, str]:
    """The stall columns of a result, each with the words for it, in their order."""
    named = {name: name.removeprefix("stall_") for name in result.op_columns if name.startswith("stall_")}
    return {column: result.card.causes.get(name, name) for column, name in named.items()}


def overlap_text(result: Result) -> str:
    """What barriers between ops would take, of a step whose ops overlap; empty for another one."""
    mine, other = (each.card.more.get("barriers_cycles") for each in (result, result.baseline))
    if mine is None or other is None:
        return ""
    return (
        f"Ops overlap: first loads run behind the op before, vector work behind the array. With barriers between ops "
        f"the step takes {mine:,} cycles and the best dense one {other:,}: {other / mine:.2f}x."
    )


def loss_table(result: Result) -> pd.DataFrame:
    """Rows terms, columns dense_cycles, cycles, share (of the step), speedup (of all terms so far)."""
    groups = _groups(result.ops)
    spent = pd.DataFrame({"dense_cycles": _spent(result.baseline, groups), "cycles": _spent(result, groups)})
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
    group[ops["kind"] == "pruning"] = PRUNING
    return group


def _spent(result: Result, groups: "pd.Series[str]") -> "pd.Series[int]":
    ops = result.ops
    products = ops["kind"] == "product"
    order = ["products made sparse", "weight gradients (WU), dense", "other products, dense"]
    pes = max([1, *ops["pes"]])
    terms = {name: round(int(ops.loc[products & (groups == name), "macs_useful"].sum()) / pes) for name in order}
    idle = int(ops.loc[products, "busy_cycles"].sum()) - sum(terms.values())
    for name in ("weight update", PRUNING, "vector work"):
        terms[name] = int(ops.loc[groups == name, "cycles"].sum())
    terms["idle PEs at edges"] = idle
    for column, words in stall_words(result).items():
        terms[words] = terms.get(words, 0) + int(ops.loc[products, column].sum())
    return pd.Series(terms)


def cause_table(result: Result) -> pd.DataFrame:
    """Rows phases that occur, columns causes that occur, in cycles; a phase's causes sum to its cycles."""
    ops = result.ops
    products = ops["kind"] == "product"
    pes = max([1, *ops["pes"]])
    useful = (ops["macs_useful"] / pes).where(products, 0.0)
    causes = pd.DataFrame({"phase": ops["phase"]})
    causes[COMPUTE] = useful
    causes[OTHER if "kernel" in result.card.more else EDGES] = (ops["busy_cycles"] - useful).where(products, 0.0)
    causes[VECTOR] = ops["busy_cycles"].where(~products & (ops["kind"] != "update"), 0)
    causes[UPDATE] = ops["busy_cycles"].where(ops["kind"] == "update", 0)
    for column, words in stall_words(result).items():
        causes[words] = ops[column]
    table = causes.groupby("phase").sum()
    table = table.reindex(phases_in(result))
    return table.loc[:, (table.abs() > 0).any()]


def ceiling_row(result: Result) -> Mapping[str, object]:
    """One model: its ceiling, and the speed-up as each kind of cost is added; the last column is the step's own.

    `ceiling` counts multiply-accumulates alone; `with fill` adds fill and drain as a term of its own; what is left
    between it and `speed-up` are stalls.
    """
    table = loss_table(result)
    ceiling, speedup = arithmetic_ceiling(result), result.over_baseline
    row: dict[str, object] = {"model": result.card.model, "batch": result.card.batch, "ceiling": ceiling}
    latest = float("nan")
    for term, name in STEPS.items():
        latest = float(table["speedup"].get(term, latest))
        row[name] = latest
    return {**row, "speed-up": speedup, "of ceiling": ratio(speedup, ceiling)}


def ceiling_table(rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    """The rows as a table, one a model."""
    return pd.DataFrame(list(rows)).set_index("model")
