"""The energy of a step is linear in the prices of its actions: another price needs no new simulation."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.card import EnergyCard
from simulator.energy import UNITS
from simulator.rows import Row
from simulator.sensitivity.numbers import OpenNumber

Vector = NDArray[np.float64]
ROUNDS = 100  # far more than it ever takes: each price goes to an end and mostly stays there


@dataclass(frozen=True)
class Prices:
    """Entries of an energy table by name, and for each what is in force and how far it may go."""

    names: tuple[str, ...]
    value: Vector
    low: Vector
    high: Vector

    def drawn(self, prices: Mapping[str, float]) -> Vector:
        """All prices, with some in place of those in force."""
        return np.array([prices.get(name, value) for name, value in zip(self.names, self.value, strict=True)])

    def ratio(self, row: Row, prices: Vector) -> float:
        """Energy of the dense step over that of the sparse one, at some prices."""
        dense, sparse = self._units(row)
        return float(dense @ prices / (sparse @ prices))

    def extreme(self, row: Row, sign: int) -> tuple[float, Vector]:
        """The largest energy ratio (sign 1) or the smallest (-1) within the ranges, and the prices that give it.

        A ratio of linear functions over a box has its extremes at corners. Dinkelbach (Management Science 13, 1967):
        with the ratio r so far, each price goes to the end that helps dense - r sparse; r only gets better, and where
        no price moves it is the extreme.
        """
        dense, sparse = self._units(row)
        prices = self.value
        for _ in range(ROUNDS):
            gain = sign * (dense - dense @ prices / (sparse @ prices) * sparse)
            found = np.where(gain > 0, self.high, np.where(gain < 0, self.low, prices))
            if (found == prices).all():
                break
            prices = found
        return float(dense @ prices / (sparse @ prices)), prices

    def _units(self, row: Row) -> tuple[Vector, Vector]:
        """What each price is multiplied by to give joules, dense and sparse."""
        every = [[float(row.get(f"{which}{UNITS}{name}", 0)) for name in self.names] for which in ("dense_", "")]
        return np.array(every[0]), np.array(every[1])


def prices_of(energy: EnergyCard, ranged: Mapping[str, OpenNumber]) -> Prices:
    """The entries of a table, a power of so many watts each as that of one, of which some go through their ranges."""
    entries = energy.entries
    ends = {name: (ranged[name].low, ranged[name].high) for name in ranged}
    stands = {name: each.value / each.parts if each.parts else 0.0 for name, each in entries.items()}
    every = np.array([(value, *ends.get(name, (value, value))) for name, value in stands.items()])
    return Prices(tuple(entries), *every.T)
