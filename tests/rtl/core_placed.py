"""Cores on an ECP5-85F: `python -m tests.rtl.core_placed FILE 4x4 4x8 ...` places and routes each, a row a core."""

import sys
import time
from pathlib import Path

import pandas as pd

from rtl.core.program import CoreAsked
from rtl.core.registers import CoreMap
from rtl.exported.core_placed import placed_core
from rtl.files import ToolFailed
from simulator.hil.core import CoreMachine
from simulator.hil.design import core_machine

CELLS = {"luts": "TRELLIS_COMB", "flipflops": "TRELLIS_FF", "multipliers": "MULT18X18D", "block_rams": "DP16KD"}


def row_of(asked: CoreAsked) -> dict[str, object]:
    """Sizes, cells, clock and the longest path of a core; why there are none where it does not fit."""
    where, began = CoreMap(CoreMachine(core_machine(asked).spec).layout, asked.queue), time.monotonic()
    row: dict[str, object] = {name: value for name, value in vars(asked).items() if value is not None}
    try:
        placed = placed_core(where, show=lambda step: print(f"{asked.rows}x{asked.cols}: {step}", flush=True))
    except ToolFailed as error:
        return {**row, "failed": str(error), "minutes": round((time.monotonic() - began) / 60, 1)}
    used = {name: placed.used.get(cell, (0, 0))[0] for name, cell in CELLS.items()}
    limits = {"from": placed.begins, "to": placed.ends, "logic_ns": placed.logic_ns, "wire_ns": placed.wire_ns}
    return {**row, **used, "mhz": round(placed.mhz, 1), **limits, "minutes": round((time.monotonic() - began) / 60, 1)}


def main() -> None:
    file, *sizes = sys.argv[1:]
    rows = []
    for size in sizes:
        height, width = size.split("x")
        rows.append(row_of(CoreAsked(rows=int(height), cols=int(width))))
        pd.DataFrame(rows).to_csv(Path(file), index=False)
        print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
