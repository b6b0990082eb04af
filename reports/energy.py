"""Energy of a step by component, phase and tensor, its energy-delay product, and what assumed entries leave open."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import fsum, inf

from simulator.arch.entries import STATIC
from simulator.card import EnergyCard
from simulator.result import Result
from workloads.provenance import Provenance

PJ = 1e-12  # a picojoule in joules
Ends = tuple[float, float]  # an entry's share of a sum, at the low and at the high end of its price
Sums = tuple[float, float, float]  # joules, and the ends of their range
NOTHING: Sums = (0.0, 0.0, 0.0)
PRICES = ["energy_pj", "energy_low_pj", "energy_high_pj"]


@dataclass(frozen=True)
class EnergyTotal:
    """A step's energy in joules with the ends of its range, its energy-delay product in joule seconds.

    The ends are all entries at the low and all at the high end of their ranges at once: an envelope, no deviation.
    `assumed_share` is the part of the energy that rests on entries nobody published or measured.
    """

    joules: float
    low: float
    high: float
    seconds: float
    assumed_share: float

    @property
    def energy_delay(self) -> float:
        return self.joules * self.seconds

    @property
    def watts(self) -> float:
        return self.joules / self.seconds if self.seconds else float("nan")


@dataclass(frozen=True)
class EnergyRatio:
    """How many times less energy a step takes than what it is held against, and the ends of that.

    The ends are the least and the most that any prices within their ranges give, the same prices on both sides: what
    both sides share cancels, so that they lie far closer together than those of either side.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        span = f"{self.low:.2f} to {self.high:.2f} with the same prices on both sides"
        return f"{self.value:.2f} times less energy than dense, {span}"


def has_energy(result: Result) -> bool:
    """Whether the machine's file priced its actions."""
    return result.card.energy is not None


def energy_card(result: Result) -> EnergyCard:
    """The table in force. Raises ValueError for a machine without one."""
    if result.card.energy is None:
        raise ValueError("the machine has no energy table")
    return result.card.energy


def energy_total(result: Result) -> EnergyTotal:
    """The sums over a step. Raises ValueError without an energy table."""
    entries = energy_card(result).entries
    joules, low, high = (fsum(result.action_columns[name]) * PJ for name in PRICES)
    priced = zip(*(result.action_columns[name] for name in ("entry", "energy_pj")), strict=True)
    guessed = fsum(each for name, each in priced if entries[name].provenance is Provenance.ASSUMED) * PJ
    return EnergyTotal(joules, low, high, result.seconds, guessed / joules if joules else 0.0)


def energy_ratio(result: Result) -> EnergyRatio | None:
    """Energy of the best dense schedule over that of the step; None where there is none beside, or no energy.

    Raises ValueError without an energy table.
    """
    if result.dense is None or result.card.is_dense:
        return None
    mine, other = (energy_sums(each, ["entry"]) for each in (result, result.dense))
    pairs = [(other.get(name, NOTHING), mine.get(name, NOTHING)) for name in dict.fromkeys([*other, *mine])]
    above, below = (fsum(pair[side][0] for pair in pairs) for side in range(2))
    if not below:
        return None
    low, high = ratio_ends([each[1:] for each, _ in pairs], [each[1:] for _, each in pairs])
    return EnergyRatio(above / below, low, high)


def ratio_ends(above: Sequence[Ends], below: Sequence[Ends]) -> tuple[float, float]:
    """The least and the most of one sum over another as prices go through their ranges, the same price on both sides.

    A term is an entry's amount times the ends of its price. The ratio is monotone in every price, so it is widest at
    ends. At the most an entry is at its high end where its amount above is more than the ratio times its amount below,
    and else at its low end: those at the high end come first in the order of above over below, and each such first part
    is tried. The least is one over the most of the ratio turned round. Infinite where all that is below may be 0.
    """
    return _over(1.0, _most(below, above)), _most(above, below)


def _most(above: Sequence[Ends], below: Sequence[Ends]) -> float:
    order = sorted(zip(above, below, strict=True), key=lambda each: _over(each[0][1], each[1][1]), reverse=True)
    tops = accumulate((high - low for (low, high), _ in order), initial=sum(low for low, _ in above))
    bottoms = accumulate((high - low for _, (low, high) in order), initial=sum(low for low, _ in below))
    return max(map(_over, tops, bottoms))


def _over(above: float, below: float) -> float:
    return above / below if below else inf if above else 0.0


def op_joules(result: Result) -> dict[int, float]:
    """Joules of every op by its number."""
    found = dict.fromkeys(range(len(result.op_columns.get("cycles", ()))), 0.0)
    for op, picojoules in zip(*(result.action_columns.get(name, ()) for name in ("op", "energy_pj")), strict=True):
        found[op] += picojoules * PJ
    return found


def energy_sums(result: Result, by: Sequence[str]) -> dict[tuple[str, ...], Sums]:
    """Joules by any of component, phase, tensor, kind, entry, layer, the largest first."""
    found: dict[tuple[str, ...], tuple[list[float], list[float], list[float]]] = {}
    prices = zip(*(result.action_columns.get(name, ()) for name in PRICES), strict=True)
    for key, price in zip(zip(*(_column(result, name) for name in by), strict=True), prices, strict=True):
        for sums, each in zip(found.setdefault(key, ([], [], [])), price, strict=True):
            sums.append(each)
    added = {key: (fsum(each) * PJ, fsum(low) * PJ, fsum(high) * PJ) for key, (each, low, high) in found.items()}
    return dict(sorted(added.items(), key=lambda each: -each[1][0]))


def _column(result: Result, name: str) -> Iterator[str]:
    """A column of actions; layers and phases are those of the action's op."""
    ops, actions = result.op_columns, result.action_columns
    if name in ("layer", "phase"):
        return (ops[name][op] for op in actions.get("op", ()))
    if name == "tensor":
        return map(_tensor, actions.get("kind", ()), actions.get("tensor", ()))
    return iter(actions.get(name, ()))


def _tensor(kind: str, tensor: str) -> str:
    if kind.startswith(f"{STATIC}."):
        return "no tensor (static)"
    return tensor or "no tensor named"
