"""Energy of a step by component, phase and tensor, its energy-delay product, and what assumed entries leave open."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from simulator.arch.entries import STATIC
from simulator.card import EnergyCard
from simulator.result import Result
from workloads.provenance import Provenance

PJ, MJ = 1e-12, 1e-9  # picojoules in joules and in millijoules
ENTRY_COLUMNS = ["entry", "value", "unit", "low", "high", "provenance", "mj", "share", "spread_mj", "source"]
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
    sums.columns = pd.Index(["mj", "low_mj", "high_mj"])
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
