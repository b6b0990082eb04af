"""What hardware in the loop said of a step, as a table."""

import pandas as pd

from simulator.result import Result


def hil_table(result: Result) -> pd.DataFrame:
    """A row for every phase, dataflow and pattern: tiles, those confirmed, bits, cycles. Raises ValueError without."""
    if result.hil is None:
        raise ValueError("the result has no tiles that hardware ran")
    tiles = result.hil.assign(
        confirmed=result.hil["status"] == "confirmed",
        cycle_difference=result.hil["hardware_cycles"] - result.hil["model_cycles"],
    )
    answered = tiles["status"] != "not confirmed"
    tiles.loc[~answered, "cycle_difference"] = 0
    table = tiles.groupby(["phase", "dataflow", "pattern"]).agg(
        tiles=("tile", "count"),
        confirmed=("confirmed", "sum"),
        pieces=("pieces", "sum"),
        bits=("bits", "sum"),
        wrong_bits=("wrong_bits", "sum"),
        model_cycles=("model_cycles", "sum"),
        cycle_difference=("cycle_difference", "sum"),
        compute_cycles=("compute_cycles", "sum"),
        fill_cycles=("fill_cycles", "sum"),
        drain_cycles=("drain_cycles", "sum"),
        waiting_cycles=("waiting_cycles", "sum"),
        operands=("operands", "sum"),
        nonzero_operands=("nonzero_operands", "sum"),
    )
    table["nonzero"] = table.pop("nonzero_operands") / table.pop("operands")
    return table
