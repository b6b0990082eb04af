"""Energy of a step by component, phase and tensor, its energy-delay product, and what assumed entries leave open."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf

import pandas as pd

from simulator.arch.entries import STATIC
from simulator.card import EnergyCard
from simulator.result import Result
from workloads.provenance import Provenance

PJ, MJ = 1e-12, 1e-9  # picojoules in joules and in millijoules
ENTRY_COLUMNS = ["entry", "value", "unit", "low", "high", "provenance", "mj", "share", "spread_mj", "source"]
Ends = tuple[float, float]  # an entry's share of a sum, at the low and at the high end of its price
ENDS = ["mj", "low_mj", "high_mj"]
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
    actions, entries = result.actions, energy_card(result).entries
    assumed = {name for name, entry in entries.items() if entry.provenance is Provenance.ASSUMED}
    joules, low, high = (float(actions[name].sum()) * PJ for name in PRICES)
    guessed = float(actions.loc[actions["entry"].isin(assumed), "energy_pj"].sum()) * PJ
    return EnergyTotal(joules, low, high, result.seconds, guessed / joules if joules else 0.0)


def energy_ratio(result: Result) -> EnergyRatio | None:
    """Energy of the best dense schedule over that of the step; None where there is none beside, or no energy.

    Raises ValueError without an energy table.
    """
    if result.dense is None or result.card.is_dense:
        return None
    mine, other = (energy_by(each, ["entry"])[ENDS] for each in (result, result.dense))
    names = list(dict.fromkeys([*other.index, *mine.index]))
    pairs = [frame.reindex(names, fill_value=0.0) for frame in (other, mine)]
    values = [float(frame["mj"].sum()) for frame in pairs]
    if not values[1]:
        return None
    ends = [[tuple(row) for row in frame[["low_mj", "high_mj"]].to_numpy().tolist()] for frame in pairs]
    low, high = ratio_ends(*ends)
    return EnergyRatio(values[0] / values[1], low, high)


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
    sums = result.actions.groupby("op")["energy_pj"].sum() * PJ
    return dict(enumerate(sums.reindex(result.ops.index, fill_value=0.0).astype(float).tolist()))


def energy_by(result: Result, by: Sequence[str]) -> pd.DataFrame:
    """Millijoules by any of component, phase, tensor, kind, entry, layer: columns mj, low_mj, high_mj, share."""
    actions = result.actions.join(result.ops[["layer", "phase"]], on="op")
    tensor = actions["tensor"].where(~actions["kind"].str.startswith(f"{STATIC}."), "no tensor (static)")
    tensor = tensor.where(tensor != "", "no tensor named")
    sums = actions.assign(tensor=tensor).groupby(list(by), sort=False)[PRICES].sum() * MJ
    sums.columns = pd.Index(ENDS)
    total = float(sums["mj"].sum())
    return sums.assign(share=sums["mj"] / total if total else 0.0).sort_values("mj", ascending=False)


def entry_table(result: Result) -> pd.DataFrame:
    """Every entry in use: its price with range and source, the energy on it, and how far its range alone moves it.

    Raises ValueError without an energy table.
    """
    entries, rows = energy_card(result).entries, []
    for name, used in energy_by(result, ["entry"]).iterrows():
        price = vars(entries[str(name)])
        row = {"entry": name, **{key: price[key] for key in ("value", "unit", "low", "high", "provenance")}}
        row |= {"mj": used["mj"], "share": used["share"], "spread_mj": used["high_mj"] - used["low_mj"]}
        rows.append({**row, "source": price["source"]})
    table = pd.DataFrame(rows, columns=ENTRY_COLUMNS)
    return table.set_index("entry").sort_values("spread_mj", ascending=False)
