"""The table per phase: cycles, time, utilisation, and the speed-up over the best dense schedule."""

import pandas as pd

from simulator.result import Result

ORDER = ["FF", "BP", "WU", "UP"]


def phases_in(result: Result) -> list[str]:
    """The phases a result has, those of a step in their order."""
    found = result.ops["phase"].unique().tolist()
    return [phase for phase in ORDER if phase in found] + [phase for phase in found if phase not in ORDER]


def phase_table(sparse: Result, dense: Result) -> pd.DataFrame:
    """Rows FF, BP, WU, UP (those that occur) and step; columns cycles, seconds, utilisation, dense_cycles, speedup.

    Utilisation is useful multiply-accumulates over cycles x PEs, NaN where a phase multiplies nothing. Speed-up is
    dense cycles over cycles (derived).
    """
    clock_hz = float(sparse.card["clock_mhz"]) * 1e6
    rows = [_row(sparse.ops, dense.ops, phase, clock_hz) for phase in phases_in(sparse)]
    return pd.DataFrame([*rows, _row(sparse.ops, dense.ops, "step", clock_hz)]).set_index("phase")


def _row(sparse: pd.DataFrame, dense: pd.DataFrame, phase: str, clock_hz: float) -> dict[str, object]:
    mine = sparse if phase == "step" else sparse[sparse["phase"] == phase]
    other = dense if phase == "step" else dense[dense["phase"] == phase]
    cycles, dense_cycles = int(mine["cycles"].sum()), int(other["cycles"].sum())
    room = cycles * int(mine["pes"].max())
    useful = int(mine["macs_useful"].sum())
    return {
        "phase": phase,
        "cycles": cycles,
        "seconds": cycles / clock_hz,
        "utilisation": useful / room if useful and room else float("nan"),
        "dense_cycles": dense_cycles,
        "speedup": dense_cycles / cycles if cycles else float("nan"),
    }


def arithmetic_ceiling(sparse: Result) -> float:
    """Speed-up if only multiply-accumulates counted: dense ones over kept ones, over the step's own op list."""
    useful = int(sparse.ops["macs_useful"].sum())
    return (useful + int(sparse.ops["macs_skipped"].sum())) / useful if useful else float("nan")
