"""Cores on an ECP5-85F: `python -m tests.rtl.core_placed FILE 4x4 4x8 ...` places and routes each, a row a core.

With --modules: cells of each module of the cores after synthesis, what is inside it included, a row a module.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from rtl.array import block_verilog, blocks_verilog
from rtl.core.hosted import HostedCore
from rtl.core.program import CoreAsked
from rtl.core.registers import CoreMap
from rtl.exported.core_placed import placed_core
from rtl.files import ToolFailed
from rtl.placing import as_instance
from rtl.synthesis import cells_by_module, cells_of, room, total
from simulator.hil.core import CoreMachine
from simulator.hil.design import core_machine

CELLS = {
    "luts": "TRELLIS_COMB",
    "flipflops": "TRELLIS_FF",
    "lut_memories": "TRELLIS_RAMW",
    "multipliers": "MULT18X18D",
    "block_rams": "DP16KD",
}
TOP = "hosted_core"
Row = dict[str, object]


def map_of(asked: CoreAsked) -> CoreMap:
    return CoreMap(CoreMachine(core_machine(asked).spec).layout, asked.queue)


def placed(asked: CoreAsked) -> Row:
    """Sizes, cells, clock and the longest path of a core; why there are none where it does not fit."""
    began = time.monotonic()
    row: Row = {name: value for name, value in vars(asked).items() if value is not None}
    try:
        found = placed_core(map_of(asked), show=lambda step: print(f"{asked.rows}x{asked.cols}: {step}", flush=True))
    except ToolFailed as error:
        return {**row, "failed": str(error), "minutes": round((time.monotonic() - began) / 60, 1)}
    used = {name: found.used.get(cell, (0, 0))[0] for name, cell in CELLS.items()}
    path = {"from": found.begins, "to": found.ends, "logic_ns": round(found.logic_ns, 2)}
    path |= {"wire_ns": round(found.wire_ns, 2), "minutes": round((time.monotonic() - began) / 60, 1)}
    return {**row, **used, "mhz": round(found.mhz, 1), **path}


def modules(asked: CoreAsked) -> Iterator[Row]:
    """A row a module, the largest first; room: LUTs of the device that it takes."""
    where = map_of(asked)
    text = block_verilog(HostedCore(where, as_instance), TOP) + blocks_verilog(where.layout.shape.edge)
    found = cells_by_module(text, TOP)
    cells = {name: cells_of(total(found, name)) for name in found}
    for name in sorted(cells, key=lambda name: -room(cells[name])):
        yield {"core": f"{asked.rows}x{asked.cols}", "module": name, "room": room(cells[name]), **asdict(cells[name])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("sizes", nargs="+", metavar="ROWSxCOLS")
    parser.add_argument("--modules", action="store_true")
    asked, rows = parser.parse_args(), list[Row]()
    for size in asked.sizes:
        height, width = size.split("x")
        core = CoreAsked(rows=int(height), cols=int(width))
        rows += modules(core) if asked.modules else [placed(core)]
        pd.DataFrame(rows).to_csv(asked.file, index=False)


if __name__ == "__main__":
    main()
