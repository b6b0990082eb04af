"""Speed-ups of several models set beside the arithmetic ceiling of each one's own op list."""

from collections.abc import Iterable, Mapping

import pandas as pd

from reports.losses import loss_table
from simulator.frames import arithmetic_ceiling
from simulator.result import Result

STEPS = {
    "products made sparse": "pattern",
    "weight gradients (WU), dense": "with WU",
    "other products, dense": "with dense layers",
    "weight update": "with update",
    "vector work": "with vector work",
    "idle PEs at edges": "with edges",
    "fill and drain": "with fill",
}


def ceiling_row(result: Result) -> Mapping[str, object]:
    """One model: its ceiling, and the speed-up as each kind of cost is added; the last column is the step's own.

    `ceiling` counts multiply-accumulates alone; `with fill` adds fill and drain as a term of its own; what is left
    between it and `speed-up` are stalls.
    """
    table = loss_table(result)
    row: dict[str, object] = {"model": result.card.model, "batch": result.card.batch}
    ceiling, speedup = arithmetic_ceiling(result), result.baseline.cycles / result.cycles
    row["ceiling"] = ceiling
    latest = float("nan")
    for term, name in STEPS.items():
        latest = float(table["speedup"].get(term, latest))
        row[name] = latest
    return {**row, "speed-up": speedup, "of ceiling": speedup / ceiling}


def ceiling_table(rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    """The rows as a table, one a model."""
    return pd.DataFrame(list(rows)).set_index("model")
