"""Energy: every counted action times its entry in the machine's table, and static power times the time an op takes."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from simulator.arch.energy import EnergyTable
from simulator.arch.entries import STATIC, Entry
from simulator.card import EnergyCard, Price
from simulator.rows import Amounts, Row

PICO = 1e-12
UNITS = "units."  # what a price is multiplied by to give joules, in a row that has them by entry
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
    "memory": "on-chip memory",
    "pe": "PEs",
    "core": "cores",
}


def component(kind: str) -> str:
    """The part of a machine that an action happens in: `west.read` is on-chip memory, `wuve.adam` is WUVE."""
    head, _, tail = kind.partition(".")
    if head == STATIC:
        return f"static {COMPONENTS.get(tail, tail)}"
    if tail in ("read", "write") and head not in ("dram", "noc", "host"):
        return "on-chip memory"
    return COMPONENTS.get(head, head)


def priced(rows: Sequence[Row], actions: Sequence[Amounts], table: EnergyTable | None, clock_mhz: float) -> list[Row]:
    """A row for every action of every op, and without a tensor for every static power: what it is and what it costs.

    Columns op, kind, tensor, amount (cycles, for static power), component, entry, energy_pj and the ends of its range:
    amount times entry. Without a table the costs are NaN, and static power is not known. Raises UserError that names an
    action without an entry.
    """
    static = () if table is None else table.static
    pj_per_watt_cycle = 1e6 / clock_mhz
    found: list[Row] = []
    for number, (row, amounts) in enumerate(zip(rows, actions, strict=True)):
        for (kind, tensor), amount in amounts.items():
            entry = None if table is None else table.entry(kind, tensor)
            found.append(_priced(number, kind, tensor, amount, entry, 1.0))
        for entry in static:
            found.append(_priced(number, entry.name, "", int(row["cycles"]), entry, pj_per_watt_cycle))
    return found


def _priced(number: int, kind: str, tensor: str, amount: int, entry: Entry | None, unit_pj: float) -> Row:
    picojoules = amount * unit_pj
    return {
        "op": number,
        "kind": kind,
        "tensor": tensor,
        "amount": amount,
        "component": component(kind) if entry else "",
        "entry": entry.name if entry else "",
        "energy_pj": picojoules * entry.value if entry else math.nan,
        "energy_low_pj": picojoules * entry.low if entry else math.nan,
        "energy_high_pj": picojoules * entry.high if entry else math.nan,
    }


def joules(table: EnergyTable | None, amounts: Mapping[tuple[str, str], int], seconds: float) -> Row:
    """Joules of a whole step, and the ends of their range, as `priced` prices an op's actions; none without a table."""
    if table is None:
        return {}
    entries = [(table.entry(*counted), amount) for counted, amount in amounts.items()]

    def total(of: Callable[[Entry], float]) -> float:
        return sum(of(entry) * amount for entry, amount in entries) * PICO + seconds * sum(map(of, table.static))

    ends = {"energy_low_j": total(lambda each: each.low), "energy_high_j": total(lambda each: each.high)}
    return {"energy_j": total(lambda each: each.value), **ends}


def units_by_entry(table: EnergyTable | None, amounts: Mapping[tuple[str, str], int], seconds: float) -> Row:
    """What every entry in use is multiplied by to give joules: amounts in picojoules, seconds for static power.

    Of a power of so many watts each, it is what one of them is multiplied by.
    """
    if table is None:
        return {}
    found: Counter[str] = Counter()
    for counted, amount in amounts.items():
        found[table.entry(*counted).name] += amount
    units = {f"{UNITS}{name}": amount * PICO for name, amount in found.items()}
    counts = {entry.name: 1.0 if entry.count is None else entry.count for entry in table.static}
    return {**units, **{f"{UNITS}{name}": seconds * count for name, count in counts.items()}}


def energy_card(table: EnergyTable | None) -> EnergyCard | None:
    """The table in force as a run card keeps it, every entry with its origin."""
    if table is None:
        return None
    entries = {each.name: _price(each, "W") for each in table.static}
    entries |= {name: _price(each, "pJ") for name, each in table.entries.items()}
    return EnergyCard(table.name, table.technology, table.scaling, table.format, entries, table.note)


def _price(entry: Entry, unit: str) -> Price:
    origin = entry.origin
    return Price(entry.value, unit, entry.low, entry.high, origin.provenance, origin.source, entry.count)
