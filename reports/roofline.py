"""Where every product stands under the roofs of its machine."""

from dataclasses import dataclass

import pandas as pd

from reports.layers import op_table
from simulator.result import Result


@dataclass(frozen=True)
class Roofs:
    """`macs_per_second` of all PEs; DRAM `bytes_per_second` at its peak and at the assumed efficiency."""

    macs_per_second: float
    peak_bytes_per_second: float
    bytes_per_second: float


def roofs(result: Result) -> Roofs | None:
    """None where the machine says nothing of its peaks, or its DRAM is infinite."""
    peaks, clock_hz = result.card.peaks, result.card.clock_hz
    if not peaks.get("dram_bytes_per_cycle"):
        return None
    peak = peaks["dram_bytes_per_cycle"] * clock_hz
    return Roofs(peaks["macs_per_cycle"] * clock_hz, peak, peak * peaks["dram_efficiency"])


def roofline_points(result: Result) -> pd.DataFrame:
    """A row a product: macs_per_byte (useful ones a byte of DRAM) and macs_per_second, with layer, phase, pattern."""
    table = op_table(result)
    table = table[(table["macs_useful"] > 0) & (table["dram_bytes"] > 0) & (table["cycles"] > 0)]
    return table[["layer", "phase", "pattern"]].assign(
        macs_per_byte=table["macs_useful"] / table["dram_bytes"],
        macs_per_second=table["macs_useful"] / table["cycles"] * result.card.clock_hz,
    )
