"""Columns as frames, and the table per phase: pandas, which takes half a second to import."""

from collections.abc import Mapping, Sequence

import pandas as pd

from simulator.result import Result

Columns = Mapping[str, Sequence[object]]
ORDER = ["FF", "BP", "WU", "UP"]


def frame(columns: Columns, kinds: Mapping[str, type]) -> pd.DataFrame:
    """A frame of columns, with integers as rows. kinds: of the columns that are there also without a row."""
    found = dict(columns) or dict.fromkeys(kinds, ())
    return pd.DataFrame(found).astype({name: kinds.get(name, int) for name, each in found.items() if not len(each)})


def phases_in(result: Result) -> list[str]:
    """The phases a result has, those of a step in their order."""
    found = result.ops["phase"].unique().tolist()
    return [phase for phase in ORDER if phase in found] + [phase for phase in found if phase not in ORDER]


def phase_table(result: Result) -> pd.DataFrame:
    """Rows FF, BP, WU, UP (those that occur) and step; columns cycles, seconds, utilisation, dense_cycles, speedup.

    Utilisation is useful multiply-accumulates over cycles x PEs, NaN where a phase multiplies nothing. Speed-up is
    dense cycles over cycles (derived).
    """
    ops, dense, clock_hz = result.ops, result.baseline.ops, result.card.clock_hz
    rows = [_row(ops, dense, phase, clock_hz) for phase in [*phases_in(result), "step"]]
    return pd.DataFrame(rows).set_index("phase")


def _row(sparse: pd.DataFrame, dense: pd.DataFrame, phase: str, clock_hz: float) -> dict[str, object]:
    mine = sparse if phase == "step" else sparse[sparse["phase"] == phase]
    other = dense if phase == "step" else dense[dense["phase"] == phase]
    cycles, dense_cycles = int(mine["cycles"].sum()), int(other["cycles"].sum())
    room = cycles * int(mine["pes"].max() if len(mine) else 0)
    useful = int(mine["macs_useful"].sum())
    return {
        "phase": phase,
        "cycles": cycles,
        "seconds": cycles / clock_hz,
        "utilisation": useful / room if useful and room else float("nan"),
        "dense_cycles": dense_cycles,
        "speedup": dense_cycles / cycles if cycles else float("nan"),
    }


def arithmetic_ceiling(result: Result) -> float:
    """Speed-up if only multiply-accumulates counted: dense ones over kept ones, over the step's own op list."""
    useful = int(result.ops["macs_useful"].sum())
    return (useful + int(result.ops["macs_skipped"].sum())) / useful if useful else float("nan")
