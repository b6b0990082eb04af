"""Energy: every counted action times its entry in the machine's table, and static power times the time an op takes."""

from collections.abc import Iterator, Sequence
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
    "special": "special functions",
    "noc": "network",
    "host": "host link",
    "instruction": "instructions",
    "dma": "DMA",
    "scratchpad": "on-chip memory",
}


def component(kind: str) -> str:
    """The part of a machine that an action happens in: `west.read` is on-chip memory, `wuve.adam` is WUVE."""
    head, _, tail = kind.partition(".")
    if head == STATIC:
        return f"static {COMPONENTS.get(tail, tail)}"
    if tail in ("read", "write") and head not in ("dram", "noc", "host"):
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
    actions = _at(result.actions, _entries(result.actions, table), 1.0)
    pj_per_watt_cycle = 1e6 / float(result.card["clock_mhz"])
    static = [_at(rows, [each] * len(rows), pj_per_watt_cycle) for each, rows in _static(result.ops, table)]
    actions = pd.concat([actions, *static]).sort_values("op", kind="stable", ignore_index=True)
    return replace(result, actions=actions, card={**result.card, "energy": _on_card(table)})


def _entries(actions: pd.DataFrame, table: EnergyTable) -> list[Entry]:
    """The entry of every action."""
    pairs = list(zip(actions["kind"], actions["tensor"], strict=True))
    found = {pair: table.entry(*pair) for pair in set(pairs)}
    return [found[pair] for pair in pairs]


def _at(actions: pd.DataFrame, entries: Sequence[Entry], unit_pj: float) -> pd.DataFrame:
    amounts = actions["amount"].to_numpy() * unit_pj
    return actions.assign(
        component=[component(kind) for kind in actions["kind"]],
        entry=[entry.name for entry in entries],
        energy_pj=amounts * np.array([entry.value for entry in entries], dtype=float),
        energy_low_pj=amounts * np.array([entry.low for entry in entries], dtype=float),
        energy_high_pj=amounts * np.array([entry.high for entry in entries], dtype=float),
    )


def _static(ops: pd.DataFrame, table: EnergyTable) -> Iterator[tuple[Entry, pd.DataFrame]]:
    """A row an op with its cycles, for every power that is drawn all the time."""
    for entry in table.static:
        rows = {"op": np.arange(len(ops)), "kind": entry.name, "tensor": "", "amount": ops["cycles"].to_numpy()}
        yield entry, pd.DataFrame(rows)


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
