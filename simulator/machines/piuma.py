"""PIUMA (arXiv 2010.06277): a fabric of many-threaded cores, on which sparse products run (SMASH, arXiv 2105.14156)."""

from pathlib import Path

from simulator.arch.piuma import FabricArch
from simulator.machine import Machine

PIUMA = Machine(
    kind="fabric",
    sheet=Path(__file__).parents[1] / "arch" / "piuma.yaml",
    spec=FabricArch,
    not_modelled=(
        "the order of single accesses inside an event (probes, banks, addresses of atomics): counted, not interleaved",
        "caches: every load of a thread goes to memory, as its users assume",
        "skew over memory channels (addresses are spread), DRAM rows and banks (an efficiency stands for them)",
        "routes of the mesh: each core has a port and every way the same latency",
        "finding rows by columns: a kernel that wants an operand by columns is given it so",
        "a step's ops whole: a block stands for each; one four times as large took 2 to 16 % less (resnet18's layer3)",
        "collective operations, queues in hardware, and other programs on the machine",
    ),
)
