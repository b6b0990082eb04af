"""GPUs as rooflines with overheads: baselines to stand beside the machines that are modelled in detail."""

from pathlib import Path

from simulator.arch.roofline import RooflineArch
from simulator.machine import Machine

_SHEETS = Path(__file__).parents[1] / "arch"
_LEFT_OUT = (
    "everything inside a tile: the efficiency stands for it",
    "work of one op beside another's (streams)",
    "transfers between the card and its host",
    "making masks",
)

T4 = Machine(kind="roofline", sheet=_SHEETS / "t4.yaml", spec=RooflineArch, not_modelled=_LEFT_OUT)
A100 = Machine(kind="roofline", sheet=_SHEETS / "a100.yaml", spec=RooflineArch, not_modelled=_LEFT_OUT)
