"""A core placed and routed by itself on an ECP5-85F: cells, the clock that is reached, and what limits it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

from rtl.core.registers import CoreMap
from rtl.exported.core import AXI, core_verilog
from rtl.files import read_report
from rtl.synthesis import SYNTHESIS, Clock, Used, cached

DEVICE = ("--85k", "--package", "CABGA381", "--speed", "6")
ASKED_MHZ = 60  # the placer takes no pains with what meets the clock that is asked for


@final
@dataclass(frozen=True)
class Place:
    """Where a signal is: a port of a cell."""

    cell: str
    port: str


@final
@dataclass(frozen=True)
class Step:
    """A piece of a path: in ns, and whether it is a wire's or a cell's."""

    delay: float
    type: str
    to: Place


@final
@dataclass(frozen=True)
class Path:
    """The longest path from one clock to another."""

    path: tuple[Step, ...]


@final
@dataclass(frozen=True)
class Report:
    """What nextpnr says of a core: clocks, cells, the longest paths."""

    fmax: dict[str, Clock]
    utilization: dict[str, Used]
    critical_paths: tuple[Path, ...]


@final
@dataclass(frozen=True)
class PlacedCore:
    """Cells by kind, MHz, and the longest path: the cells that it begins and ends in, its ns in cells and in wires."""

    used: Mapping[str, tuple[int, int]]
    mhz: float
    begins: str
    ends: str
    logic_ns: float
    wire_ns: float


def placed_core(where: CoreMap, seed: int = 1, show: Callable[[str], None] = lambda _: None) -> PlacedCore:
    """A core behind AXI, without pins, routed by router2: router1 takes hours. `show` is told of each step.

    Raises UserError when a tool is missing, ToolFailed where the core does not fit.
    """
    text = "\n".join(core_verilog(where).values())
    # every kind of block is synthesised once, then put where it is used
    script = SYNTHESIS["ecp5"].format(top=AXI).replace(" -json design.json", " -noflatten")
    script = f"read_verilog design.v; {script}; flatten; opt_clean; write_json design.json"
    made = cached({"design.v": text}, [("yosys", ["-q", "-p", script])], ("design.json",), show)
    place = [*DEVICE, "--out-of-context", "--json", "design.json", "--freq", str(ASKED_MHZ), "--timing-allow-fail"]
    place += ["--router", "router2", "--seed", str(seed), "-q", "--report", "report.json"]
    design = {"design.json": (made / "design.json").read_text()}
    found = cached(design, [("nextpnr-ecp5", place)], ("report.json",), show)
    report = read_report(found / "report.json", Report)
    steps = max((each.path for each in report.critical_paths), key=lambda path: sum(step.delay for step in path))
    wires = sum(step.delay for step in steps if step.type == "routing")
    return PlacedCore(
        {name: (each.used, each.available) for name, each in report.utilization.items() if each.used},
        max(clock.achieved for clock in report.fmax.values()),
        steps[0].to.cell,
        steps[-1].to.cell,
        sum(step.delay for step in steps) - wires,
        wires,
    )
