"""Where the rest of the ideal went: the step's cycles by what they were spent on, sparse beside dense.

Every cycle of the step is in exactly one term, so each column sums to the step. Products count with their useful
multiply-accumulates over all PEs; cycles in which some PEs idle at the edges of tiles are a term apart. `speedup` is
that of all terms down to the row: it begins at what the pattern alone gives and ends at the step's own.
"""

import pandas as pd

from simulator.result import Result


def stall_words(result: Result) -> dict[str, str]:
    """The stall columns of a result, each with the words for it, in their order."""
    named = {name: name.removeprefix("stall_") for name in result.op_columns if name.startswith("stall_")}
    return {column: result.card.causes.get(name, name) for column, name in named.items()}


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
    return group


def _spent(result: Result, groups: "pd.Series[str]") -> "pd.Series[int]":
    ops = result.ops
    products = ops["kind"] == "product"
    order = ["products made sparse", "weight gradients (WU), dense", "other products, dense"]
    pes = max(1, int(ops["pes"].max()))
    terms = {name: round(int(ops.loc[products & (groups == name), "macs_useful"].sum()) / pes) for name in order}
    idle = int(ops.loc[products, "busy_cycles"].sum()) - sum(terms.values())
    for name in ("weight update", "vector work"):
        terms[name] = int(ops.loc[groups == name, "cycles"].sum())
    terms["idle PEs at edges"] = idle
    for column, words in stall_words(result).items():
        terms[words] = terms.get(words, 0) + int(ops.loc[products, column].sum())
    return pd.Series(terms)
