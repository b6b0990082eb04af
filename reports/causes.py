"""A phase's time by what it was spent on. Every cycle is in one cause, so a phase's causes sum to its cycles."""

import pandas as pd

from reports.losses import stall_words
from simulator.frames import phases_in
from simulator.result import Result

COMPUTE, EDGES, VECTOR, UPDATE = "multiplying", "idle PEs at edges", "vector work", "weight update (WUVE)"
OTHER = "other instructions"  # of pipelines, which do more than multiply


def cause_table(result: Result) -> pd.DataFrame:
    """Rows phases that occur, columns causes that occur, in cycles."""
    ops = result.ops
    products = ops["kind"] == "product"
    pes = max(1, int(ops["pes"].max()))
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
