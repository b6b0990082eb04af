"""Energy: every counted action times its entry in the machine's table, and static power times the time an op takes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from simulator.arch.energy import STATIC, EnergyTable, Entry
from simulator.result import Result

PRICED = ["component", "entry", "energy_pj", "energy_low_pj", "energy_high_pj"]
COMPONENTS = {
    "mac": "multiply-accumulate",
    "select": "index select",
    "hop": "links",
    "dram": "DRAM",
    "sore": "SORE",
    "wuve": "WUVE",
    "vector": "vector lanes",
}


def component(kind: str) -> str:
    """The part of a machine that an action happens in: `west.read` is on-chip memory, `wuve.adam` is WUVE."""
    head, _, tail = kind.partition(".")
    if head == STATIC:
        return f"static, {COMPONENTS.get(tail, tail)}"
    if tail in ("read", "write") and head != "dram":
        return "on-chip memory"
    return COMPONENTS.get(head, head)


def priced(result: Result, table: EnergyTable | None) -> Result:
    """The result with what every action costs, and a row an op and static power.

    Adds to `actions`: component, entry, energy_pj and the ends of its range, all of it NaN without a table. Raises
    UserError that names an action without an entry.
    """
    if table is None:
        empty = {name: np.nan if name.endswith("_pj") else "" for name in PRICED}
        return replace(result, actions=result.actions.assign(**empty), card={**result.card, "energy": None})
    entries = {kind: table.entry(kind) for kind in result.actions["kind"].unique()}
    actions = _at(result.actions, entries, 1.0)
    pj_per_watt_cycle = 1e6 / float(result.card["clock_mhz"])
    static = [_at(_cycles(result.ops, each), {each.name: each}, pj_per_watt_cycle) for each in table.static]
    actions = pd.concat([actions, *static]).sort_values("op", kind="stable", ignore_index=True)
    return replace(result, actions=actions, card={**result.card, "energy": _on_card(table)})


def _at(actions: pd.DataFrame, entries: Mapping[str, Entry], unit_pj: float) -> pd.DataFrame:
    kinds, amounts = actions["kind"], actions["amount"] * unit_pj
    return actions.assign(
        component=kinds.map({kind: component(kind) for kind in entries}),
        entry=kinds.map({kind: entry.name for kind, entry in entries.items()}),
        energy_pj=amounts * kinds.map({kind: entry.value for kind, entry in entries.items()}),
        energy_low_pj=amounts * kinds.map({kind: entry.low for kind, entry in entries.items()}),
        energy_high_pj=amounts * kinds.map({kind: entry.high for kind, entry in entries.items()}),
    )


def _cycles(ops: pd.DataFrame, entry: Entry) -> pd.DataFrame:
    """A row an op with its cycles, for a power that is drawn all the time."""
    return pd.DataFrame({"op": np.arange(len(ops)), "kind": entry.name, "tensor": "", "amount": ops["cycles"]})


def _on_card(table: EnergyTable) -> dict[str, Any]:
    """The table in force as the run card keeps it, every entry with its origin."""
    return {
        "table": table.name,
        "technology": table.technology,
        "scaling": table.scaling,
        "format": table.format,
        "entries": {each.name: _entry(each, "W") for each in table.static}
        | {name: _entry(each, "pJ") for name, each in table.entries.items()},
    }


def _entry(entry: Entry, unit: str) -> dict[str, Any]:
    origin = entry.origin
    return {
        "value": entry.value,
        "unit": unit,
        "low": entry.low,
        "high": entry.high,
        "provenance": origin.provenance.value,
        "source": origin.source,
    }
