"""Losses as frames: a step's by term, a phase's time by cause, and the ceilings of several models."""

from collections.abc import Iterable, Mapping
from dataclasses import fields

import pandas as pd

from reports.losses import EDGES, VECTOR, Loss, losses, stall_words
from simulator.phases import phases_in
from simulator.result import Result

COMPUTE, WUVE = "multiplying", "weight update (WUVE)"
OTHER = "other instructions"  # of pipelines, which do more than multiply


def loss_table(result: Result) -> pd.DataFrame:
    """Rows terms, columns dense_cycles, cycles, share (of the step), speedup (of all terms so far)."""
    columns = [field.name for field in fields(Loss)]
    table = pd.DataFrame([vars(loss) for loss in losses(result)], columns=columns)
    return table.set_index("term").rename_axis(None)


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
    causes[WUVE] = ops["busy_cycles"].where(ops["kind"] == "update", 0)
    for column, words in stall_words(result).items():
        causes[words] = ops[column]
    table = causes.groupby("phase").sum()
    table = table.reindex(phases_in(result))
    return table.loc[:, (table.abs() > 0).any()]


def ceiling_table(rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    """The rows as a table, one a model."""
    return pd.DataFrame(list(rows)).set_index("model")
