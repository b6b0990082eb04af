"""Energy: every counted action times its entry in the machine's table, and static power times the time an op takes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulator.arch.energy import STATIC, EnergyTable, Entry
from simulator.result import Result

Pair = tuple[str, str]
Amounts = NDArray[np.int64]
Energies = NDArray[np.float64]
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
    counted, powers = result.actions, len(table.static)
    pairs = list(zip(counted["kind"].to_list(), counted["tensor"].to_list(), strict=True))
    pairs += [(entry.name, "") for entry in table.static for _ in range(len(result.ops))]
    op = np.concatenate([counted["op"], *[np.arange(len(result.ops))] * powers])
    amount = np.concatenate([counted["amount"], *[result.ops["cycles"]] * powers])
    order = np.argsort(op, kind="stable")
    pj_per_watt_cycle = 1e6 / float(result.card["clock_mhz"])
    unit_pj = np.where(order < len(counted), 1.0, pj_per_watt_cycle)
    actions = _table(op[order], [pairs[row] for row in order.tolist()], amount[order], unit_pj, table)
    return replace(result, actions=actions, card={**result.card, "energy": _on_card(table)})


def _table(op: Amounts, pairs: Sequence[Pair], amount: Amounts, unit_pj: Energies, table: EnergyTable) -> pd.DataFrame:
    """Actions by (kind, tensor) with what each costs."""
    static = {entry.name: entry for entry in table.static}
    known = {pair: static.get(pair[0]) or table.entry(*pair) for pair in set(pairs)}
    parts = {kind: component(kind) for kind, _ in known}
    entries = [known[pair] for pair in pairs]
    picojoules = amount * unit_pj
    return pd.DataFrame(
        {
            "op": op,
            "kind": [kind for kind, _ in pairs],
            "tensor": [tensor for _, tensor in pairs],
            "amount": amount,
            "component": [parts[kind] for kind, _ in pairs],
            "entry": [entry.name for entry in entries],
            "energy_pj": picojoules * np.array([entry.value for entry in entries], dtype=float),
            "energy_low_pj": picojoules * np.array([entry.low for entry in entries], dtype=float),
            "energy_high_pj": picojoules * np.array([entry.high for entry in entries], dtype=float),
        }
    )


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
