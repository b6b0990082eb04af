"""One step on many machines: a point is a value for each number that moves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from simulator.card import EnergyCard
from simulator.card_parts import Ends
from simulator.job import Job
from simulator.rows import Row, Show
from simulator.sensitivity.numbers import OpenNumber
from simulator.sensitivity.prices import prices_of
from simulator.sensitivity.search import Goal, Point
from simulator.sensitivity.simulations import Simulations

SPEEDUP, ENERGY = "speedup", "energy_ratio"


@dataclass(frozen=True)
class Ratios:
    """Speed-up over dense, and the energy of dense over that of sparse; None without an energy table."""

    speedup: float
    energy_ratio: float | None

    def of(self, ratio: str) -> float | None:
        """The ratio of that name."""
        return self.speedup if ratio == SPEEDUP else self.energy_ratio


class Steps:
    """What a step gives at points, each simulated once. Not frozen: it remembers.

    numbers: those that move, in the order of a point's values. ranged: prices of energy that move, by entry.
    """

    def __init__(
        self,
        job: Job,
        numbers: Sequence[OpenNumber],
        energy: EnergyCard | None,
        ranged: Mapping[str, OpenNumber],
        simulations: Simulations,
    ) -> None:
        self.numbers, self.ranged = numbers, ranged
        self.standing: Point = tuple(each.value for each in numbers)
        self.known: dict[Point, Row | None] = {}
        self._job, self._simulations = job, simulations
        self._prices = None if energy is None else prices_of(energy, ranged)

    @property
    def goals(self) -> list[Goal]:
        """Both ends of every ratio there is."""
        return [Goal(ratio, sign) for ratio in (SPEEDUP, ENERGY)[: 1 + (self._prices is not None)] for sign in (-1, 1)]

    def run(self, points: Sequence[Point], show: Show, words: str) -> None:
        """Simulate points. Raises UserError where the rows cannot be kept; a machine that is refused is no error."""
        jobs = [replace(self._job, settings=(*self._job.settings, *self._settings(point))) for point in points]
        rows = self._simulations.rows(jobs, lambda done, every: show(done, every, words))
        self.known |= dict(zip(points, rows, strict=True))

    def ratios(self, point: Point, prices: Mapping[str, float]) -> Ratios | None:
        """What a point that was run gives at some prices, others as they stand; None for a machine that is refused."""
        row = self.known[point]
        if row is None:
            return None
        energy = None if self._prices is None else self._prices.ratio(row, self._prices.drawn(prices))
        return Ratios(float(row[SPEEDUP]), energy)

    def score(self, goal: Goal, point: Point) -> float:
        """The ratio of a point that was run, at the best prices for the goal, with the goal's sign."""
        row = self.known[point]
        if row is None:
            return -inf
        if goal.ratio == SPEEDUP or self._prices is None:
            return goal.sign * float(row[SPEEDUP])
        return goal.sign * self._prices.extreme(row, goal.sign)[0]

    def ends(self, ratio: str, value: float, at: Mapping[Goal, Point]) -> Ends:
        """A ratio as all numbers stand, and its ends at the points found for them."""
        low, high = Goal(ratio, -1), Goal(ratio, 1)
        least, most = -self.score(low, at[low]), self.score(high, at[high])
        return Ends(value, least, most, self._all_settings(low, at[low]), self._all_settings(high, at[high]))

    def _all_settings(self, goal: Goal, point: Point) -> tuple[str, ...]:
        row, settings = self.known[point], self._settings(point)
        if goal.ratio == SPEEDUP or self._prices is None or row is None:
            return settings
        prices = dict(zip(self._prices.names, self._prices.extreme(row, goal.sign)[1], strict=True))
        moved = ((each, float(prices[name])) for name, each in self.ranged.items())
        return (*settings, *(each.setting(price) for each, price in moved if price != each.value))

    def _settings(self, point: Point) -> tuple[str, ...]:
        """What `--set` takes for the numbers that do not stand as in the file."""
        pairs = zip(self.numbers, point, strict=True)
        return tuple(each.setting(value) for each, value in pairs if value != each.value)
