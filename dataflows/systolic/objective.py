"""What the best of several mappings is: the shortest, the one of least energy, or of the least product of both."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil, sqrt

from simulator.arch.energy import EnergyTable
from simulator.energy import joules
from simulator.program import Program
from workloads.errors import UserError, unknown_name

NAMES = ("time", "energy", "edp")
Actions = Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class Objective:
    """The value to be small: cycles, joules, or joules times seconds of a product.

    `prices`: the machine's energy table, without which only time can be asked for. Raises UserError for another name,
    and where there is no table.
    """

    name: str = "time"
    prices: EnergyTable | None = None
    clock_hz: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise unknown_name("objective", self.name, NAMES, "--objective")
        if self.name != "time" and self.prices is None:
            raise UserError(f"--objective {self.name}: this machine's file has no energy table; take 'time'")

    @property
    def key(self) -> tuple[object, ...]:
        """What mappings of other values must not be remembered under."""
        if self.is_time or self.prices is None:
            return (self.name,)
        entries = (*self.prices.static, *self.prices.entries.values())
        return (self.name, self.clock_hz, *((each.name, each.value) for each in entries))

    @property
    def is_time(self) -> bool:
        return self.name == "time"

    def value(self, cycles: int, program: Program) -> float:
        """The value of a program that takes, or takes at least, so many cycles."""
        if self.is_time:
            return cycles
        seconds = cycles / self.clock_hz
        energy = float(joules(self.prices, program.actions(), seconds)["energy_j"])
        return energy * seconds if self.name == "edp" else energy

    def most_cycles(self, value: float) -> int | None:
        """Cycles that a program of a smaller value stays below, since static power alone passes it; None for any."""
        if self.is_time:
            return ceil(value)
        if not self._static_w:
            return None
        seconds = value / self._static_w
        return ceil((sqrt(seconds) if self.name == "edp" else seconds) * self.clock_hz)

    @cached_property
    def _static_w(self) -> float:
        return float(joules(self.prices, {}, 1.0)["energy_j"])
