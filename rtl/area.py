"""What patterns cost: cells of arrays of any size, and the clock of their PEs, from synthesis.

Every kind of block is synthesised once; an array's cells are those of its blocks, as often as they are in it, and of
what connects them. Cells are before placement, and hardly any change across the blocks' walls.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rtl.parameters import Parameters
from rtl.pe import SparsePE
from rtl.synthesis import Cells, cached, cells_of, fmax_out_of_context, synthesis_apart
from rtl.verilog import TOP, array_verilog, block_verilog

BLOCKS = ("sparse_pe", "row_buffer", "row_delay", "result_queue")
PAIR = 2  # ECP5: a carry cell takes the place of two LUTs
Modules = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Area:
    """An array and its PE: `luts` with carry cells counted as the LUTs they take the place of. fmax_mhz: of a PE."""

    pattern: str
    format: str
    rows: int
    cols: int
    cells: Cells
    pe: Cells
    fmax_mhz: float

    @property
    def luts(self) -> int:
        return logic(self.cells)

    @property
    def luts_per_pe(self) -> float:
        return self.luts / (self.rows * self.cols)


def logic(cells: Cells, family: str = "ecp5") -> int:
    """LUTs, and those that carry cells take the place of; a carry of an iCE40 is part of a LUT's cell."""
    return cells.luts + (PAIR * cells.carries if family == "ecp5" else 0)


def areas(p: Parameters, sizes: list[int], show: Callable[[str], None]) -> list[Area]:
    """The same array at several (square) sizes on an ECP5. Raises UserError when a tool is missing."""
    show(f"{p.title}: synthesis of its blocks")
    blocks = cells_by_module(array_verilog(replace(p, rows=2, cols=2)), TOP)
    show(f"{p.title}: placement of its PE")
    fmax = fmax_out_of_context(block_verilog(SparsePE(p), "sparse_pe"), "sparse_pe")
    out = []
    for size in sizes:
        show(f"{p.title}: synthesis of what connects {size} x {size}")
        sized = replace(p, rows=size, cols=size)
        whole = blocks | cells_by_module(array_verilog(sized), TOP, closed=BLOCKS)
        pattern = "dense" if p.m == 1 else f"{p.n}:{p.m}"
        cells, pe = total(whole, TOP), total(whole, "sparse_pe")
        out.append(Area(pattern, p.format, size, size, cells_of(cells), cells_of(pe), fmax))
    return out


def cells_by_module(verilog: str, top: str, family: str = "ecp5", closed: tuple[str, ...] = ()) -> Modules:
    """Cells of every module, others that it holds among them; those `closed` are left as they are."""
    boxes = f"blackbox {' '.join(closed)}; " if closed else ""
    script = f"read_verilog design.v; rename -hide */w:*[*; {boxes}"
    script += f"{synthesis_apart(family, top)}; tee -q -o stat.json stat -json"
    done = cached({"design.v": verilog}, [("yosys", ["-q", "-p", script])], ("stat.json",))
    found = {name.lstrip("\\"): module for name, module in _modules(done / "stat.json").items()}
    return {name: module["num_cells_by_type"] for name, module in found.items() if name not in closed}


def total(modules: Modules, name: str) -> dict[str, int]:
    """Cells of a module and of all that it holds, by kind."""
    out: dict[str, int] = {}
    for kind, number in modules[name].items():
        inner = total(modules, kind.lstrip("\\")) if kind.lstrip("\\") in modules else {kind: 1}
        for cell, count in inner.items():
            out[cell] = out.get(cell, 0) + number * count
    return out


def _modules(path: Path) -> dict[str, dict[str, dict[str, int]]]:
    """What Yosys' `stat` says of every module."""
    found: dict[str, dict[str, dict[str, int]]] = json.loads(path.read_text())["modules"]
    return found
