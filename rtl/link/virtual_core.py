"""A virtual board with a core: its gateware in Verilator, in this process."""

from pathlib import Path
from typing import final

from amaranth.back import rtlil

from rtl.array import blocks_verilog, fingerprint
from rtl.core.compiled import lane_key, lane_verilog
from rtl.core.registers import CoreMap
from rtl.link.core_linked import LinkedCore
from rtl.link.linked import PinnedArray, PoweredUp
from rtl.link.paced import INPUT
from rtl.link.pumping import Pumped
from rtl.link.virtual import BYTE, DIVISOR
from rtl.tools import to_verilog
from rtl.verilate import Compiled, built, ports_of

DRAM = 1 << 15  # words of the board's memory unless told otherwise
LONGEST = 1 << 20  # cycles in which a core works something out between two words of its host


@final
class VirtualCore(Pumped):
    """The gateware with a core and `dram` words of memory, powered up. pins: bits go over two pins of a serial port, or
    else bytes go in and out as such."""

    def __init__(self, where: CoreMap, dram: int = DRAM, pins: bool = False) -> None:
        super().__init__(_build(where, dram, pins), LONGEST + (INPUT * BYTE if pins else 0))


def _build(where: CoreMap, dram: int, pins: bool) -> Compiled:
    layout = where.layout

    def top() -> PoweredUp:
        linked = LinkedCore(where, dram)
        return PoweredUp(PinnedArray(linked, DIVISOR) if pins else linked)

    made = top()
    ports = [port for port in ports_of(made) if port.name != "clk"]
    text = rtlil.convert(made, name="board", emit_src=False)
    extra = (f"#define PINS {DIVISOR}\n" if pins else "") + (Path(__file__).parent / "pump.cpp").read_text()
    return built(
        f"{layout} {fingerprint(layout.shape.edge)} {lane_key(layout)} {text}",
        lambda: f"{blocks_verilog(layout.shape.edge)}\n{lane_verilog(layout)}{to_verilog(top(), 'board')}",
        "board",
        ports,
        extra=extra,
    )
