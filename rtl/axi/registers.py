"""The registers of the array over AXI4-Lite, as hardware, documents and the exported bench read them.

A run is written in words, the lowest first; the write of its last word hands it over. Counters are read in words as
well; the read of the first one keeps the others for the reads after it, so that all are of the same cycle.
"""

from dataclasses import dataclass

IDENTITY = 0x4E4D5331  # "NMS1" in ASCII: the n:m sparse array, first layout of its registers


@dataclass(frozen=True)
class Register:
    """A word of 32 bits at a byte address. access: 'R' is read, 'W' written, 'RW' both."""

    name: str
    address: int
    access: str
    text: str


REGISTERS = (
    Register("ID", 0x00, "R", f"0x{IDENTITY:08x}"),
    Register("SIZE", 0x04, "R", "bits 15:0 rows, 31:16 columns"),
    Register("STATUS", 0x08, "R", "bit 0 idle: no run goes on or waits; bit 1 full: a run waits; bits 15:8 error or 0"),
    Register("CONTROL", 0x0C, "W", "bit 0 forgets everything, also an error, as a reset does"),
    Register("RUN0", 0x10, "RW", "bits 31:0 of a run"),
    Register("RUN1", 0x14, "RW", "bits 63:32"),
    Register("RUN2", 0x18, "RW", "bits 95:64"),
    Register("RUN3", 0x1C, "RW", "bits 127:96; the write hands the run over, or answers SLVERR while STATUS says full"),
    Register(
        "CYCLES", 0x20, "R", "cycles so far of the run that started last; the read keeps the next four as they are"
    ),
    Register("COMPUTE", 0x24, "R", "of which one PE multiplied and accumulated"),
    Register("FILL", 0x28, "R", "of which weights or seeds were loaded"),
    Register("DRAIN", 0x2C, "R", "of which an output-stationary array shifted sums out"),
    Register("WAITING", 0x30, "R", "cycles before its start, for operands or for room"),
    Register("PATIENCE", 0x34, "RW", "bits 23:0: cycles a run waits before it is given up with error 8; 0 for ever"),
)
BY_NAME = {each.name: each for each in REGISTERS}
RUN = tuple(each for each in REGISTERS if each.name.startswith("RUN"))
COUNTERS = ("CYCLES", "COMPUTE", "FILL", "DRAIN", "WAITING")  # in the order of `rtl.control.COUNTERS`
ADDRESS_BITS = 6
