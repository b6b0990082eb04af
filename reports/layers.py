"""A step layer by layer and op by op: time, speed-up, stalls, bytes, energy, and the roofs above its products."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.energy import PJ, has_energy
from reports.losses import stall_words
from simulator.result import Result


def op_table(result: Result) -> pd.DataFrame:
    """Every op with its utilisation (share of PE cycles), DRAM bytes and energy (J), in the order of the step."""
    ops = result.ops
    room = ops["cycles"] * ops["pes"]
    dram = result.actions[result.actions["kind"].isin(["dram.read", "dram.write"])].groupby("op")["amount"].sum()
    table = ops.assign(
        utilisation=np.where(ops["macs_useful"] > 0, ops["macs_useful"] / room.where(room > 0), np.nan),
        dram_bytes=dram.reindex(ops.index, fill_value=0),
        start_cycle=ops["cycles"].cumsum() - ops["cycles"],
    )
    if has_energy(result):
        energy = result.actions.groupby("op")["energy_pj"].sum() * PJ
        table["energy_j"] = energy.reindex(ops.index, fill_value=0.0)
    return table


def layer_table(result: Result) -> pd.DataFrame:
    """Rows (layer, phase, kind), in the order of the step, of all ops that take time.

    Columns cycles, dense_cycles, speedup, utilisation, the largest stall and its cycles, dram_bytes, energy_j.
    """
    keys, words = ["layer", "phase", "kind"], stall_words(result)
    mine, other = op_table(result), result.baseline.ops.groupby(keys, sort=False)["cycles"].sum()
    sums = ["cycles", "busy_cycles", "macs_useful", "dram_bytes", *words]
    sums += ["energy_j"] if "energy_j" in mine else []
    table = mine.groupby(keys, sort=False)[sums].sum()
    table["pattern"] = mine.groupby(keys, sort=False)["pattern"].first()
    table["pes"] = mine.groupby(keys, sort=False)["pes"].max()
    table = table[table["cycles"] > 0]
    table["dense_cycles"] = other.reindex(table.index)
    table["speedup"] = table["dense_cycles"] / table["cycles"]
    table["utilisation"] = (table["macs_useful"] / (table["cycles"] * table["pes"])).where(table["macs_useful"] > 0)
    stalls = table[list(words)].rename(columns=words)
    worst = stalls.max(axis=1)
    table["main stall"] = np.where(worst > 0, stalls.columns[stalls.to_numpy().argmax(axis=1)], "")
    table["main stall cycles"] = worst
    return table.drop(columns=["pes", *words])


@dataclass(frozen=True)
class Roofs:
    """`macs_per_second` of all PEs; DRAM `bytes_per_second` at its peak and at the assumed efficiency."""

    macs_per_second: float
    peak_bytes_per_second: float
    bytes_per_second: float


def roofs(result: Result) -> Roofs | None:
    """None where the machine says nothing of its peaks, or its DRAM is infinite."""
    peaks, clock_hz = result.card.peaks, result.card.clock_hz
    macs, moved, share = (peaks.get(name, 0) for name in ("macs_per_cycle", "dram_bytes_per_cycle", "dram_efficiency"))
    if not macs * moved * share:
        return None
    return Roofs(macs * clock_hz, moved * clock_hz, moved * share * clock_hz)


def roofline_points(result: Result) -> pd.DataFrame:
    """A row a product: macs_per_byte (useful ones a byte of DRAM) and macs_per_second, with layer, phase, pattern."""
    table = op_table(result)
    table = table[(table["macs_useful"] > 0) & (table["dram_bytes"] > 0) & (table["cycles"] > 0)]
    return table[["layer", "phase", "pattern"]].assign(
        macs_per_byte=table["macs_useful"] / table["dram_bytes"],
        macs_per_second=table["macs_useful"] / table["cycles"] * result.card.clock_hz,
    )
