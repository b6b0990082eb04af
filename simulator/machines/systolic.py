"""SAT (arXiv 2309.13015) and the idealised dense array: one kernel, two descriptions."""

from pathlib import Path

from simulator.arch.systolic import SystolicArch
from simulator.machine import Machine

_SHEETS = Path(__file__).parents[1] / "arch"

SAT = Machine(
    kind="systolic",
    sheet=_SHEETS / "sat.yaml",
    spec=SystolicArch,
    not_modelled=(
        "work of the next op that could begin before an op ends (ops are separated by barriers)",
        "DRAM rows, banks and refresh (an efficiency stands for them)",
        "transfers between the card and its host",
        "double-buffered weights or accumulators inside a PE",
        "bank conflicts where several rows of the array want one element of a convolution's window at once",
        "making masks that are no plain groups (tiles, permuted channels) and reordering permuted channels",
        "storing the zeros of input gradients that no kernel tap reaches",
    ),
)

DENSE = Machine(
    kind="systolic",
    sheet=_SHEETS / "dense.yaml",
    spec=SystolicArch,
    not_modelled=("memories and their bandwidth", "pipeline latency", "update and vector work"),
)
