"""S4: the card with Moffett's Antoum chip (arXiv 2207.08006), as far as it is public."""

from pathlib import Path

from simulator.arch.s4 import S4Arch
from simulator.machine import Machine

S4 = Machine(
    kind="s4",
    sheet=Path(__file__).parents[1] / "arch" / "s4.yaml",
    spec=S4Arch,
    not_modelled=(
        "work of the next op that could begin before an op ends (ops are separated by barriers)",
        "ports of L2 (their width is not public), and bank conflicts",
        "which core's DRAM port holds what (all ports act as one, striped)",
        "the way through the network between cores (its bandwidth stands for it)",
        "results on their way to the host",
        "other uses of the chip's CPU and of its video and image decoders",
        "an activation is a ReLU where its layer's name says so; any other goes through the special-function units",
    ),
)
