"""A result as one JSON object; its schema is part of what users build on."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict

from reports.bands import known_band
from reports.energy import energy_card, energy_ratio, energy_sums, energy_total, has_energy, op_joules
from simulator.card import SCHEMA, Card
from simulator.phases import arithmetic_ceiling, phase_rows
from simulator.result import Columns, Result

STEP = ("arch", "pattern", "model", "method", "batch", "sequence", "mode", "exact", "clock_mhz")
PRODUCT = ("matrices", "kernel", "kernel_does", "kernel_options", "kernel_steps")
OP = ("layer", "phase", "kind", "dataflow", "detail", "rows", "cols", "inner", "count", "pattern", "cycles",
      "busy_cycles")  # fmt: skip
COUNTED = ("macs_useful", "macs_padded", "macs_skipped")


def show(result: Result) -> str:
    """A step, or a product of matrices on a fabric. `SCHEMA.md` describes the keys."""
    node = _product(result) if "fabric" in result.card.more else _step(result)
    return json.dumps(_finite({"schema": SCHEMA, **node, **_terms(result.card)}), indent=1)


def _step(result: Result) -> dict[str, object]:
    card = result.card
    tiles = None if result.hil_columns is None else _rows(result.hil_columns)
    band = known_band(result)
    return {
        **{key: getattr(card, key) for key in STEP},
        "totals": _totals(result),
        "ceiling": arithmetic_ceiling(result),
        "energy": _energy(result) if has_energy(result) else None,
        "band": band and asdict(band),
        "ops": _ops(result),
        "hil": None if card.hil is None else {**card.hil, "tile_rows": tiles},
    }


def _product(result: Result) -> dict[str, object]:
    """`fabric` has the threads' time and the use of resources as shares, probes, occupancy and the timeline."""
    card, counted = result.card, [row for row in _rows(result.action_columns) if row["kind"] == "instruction"]
    return {
        "arch": card.arch,
        "model": card.model,
        **{key: card.more[key] for key in PRODUCT},
        "clock_mhz": card.clock_mhz,
        "fabric": card.more["fabric"],
        "cycles": result.cycles,
        "seconds": result.seconds,
        "ops": _ops(result),
        "instructions": {row["tensor"]: row["amount"] for row in counted},
    }


def _terms(card: Card) -> dict[str, object]:
    """On what terms everything was found."""
    numbers = {path: asdict(number) for path, number in card.numbers.items()}
    return {
        "assumed": {path: numbers[path] for path in card.assumed},
        "numbers": numbers,
        "not_modelled": card.not_modelled,
        "versions": card.versions,
        "cost": asdict(card.cost),
    }


def _totals(result: Result) -> dict[str, object]:
    return {
        row.phase: {
            "cycles": row.cycles,
            "seconds": row.seconds,
            "utilisation": row.utilisation,
            "speedup_over_dense": row.speedup,
        }
        for row in phase_rows(result)
    }


def _ops(result: Result) -> list[dict[str, object]]:
    moved = bytes_by_memory(result)
    joules = op_joules(result) if has_energy(result) else {}
    ops = []
    for number, row in enumerate(_rows(result.op_columns)):
        stalls = {name: row[f"stall_{name}"] for name in result.card.causes if row.get(f"stall_{name}")}
        ops.append(
            {
                **{key: row[key] for key in OP},
                "stall_cycles": stalls,
                **{key: row[key] for key in COUNTED},
                "bytes": moved.get(number, {}),
                "energy_joules": joules.get(number),
            }
        )
    return ops


def _rows(columns: Columns) -> list[dict[str, object]]:
    """A mapping from name to value for every row."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def bytes_by_memory(result: Result) -> dict[int, dict[str, int]]:
    """For every op's number, bytes moved by memory and direction, such as {"dram.read": 4096}."""
    table: dict[int, dict[str, int]] = {}
    rows = (result.action_columns[name] for name in ("op", "kind", "amount"))
    for op, kind, amount in zip(*rows, strict=True):
        if kind.endswith((".read", ".write")):
            kinds = table.setdefault(op, {})
            kinds[kind] = kinds.get(kind, 0) + amount
    return table


def _energy(result: Result) -> dict[str, object]:
    mine, other, ratio = energy_total(result), energy_total(result.baseline), energy_ratio(result)
    splits = {f"by_{by}": energy_sums(result, [by]) for by in ("component", "phase", "tensor")}
    return {
        "table": energy_card(result).table,
        "joules": mine.joules,
        "low_joules": mine.low,
        "high_joules": mine.high,
        "watts": mine.watts,
        "energy_delay_joule_seconds": mine.energy_delay,
        "assumed_share": mine.assumed_share,
        "dense_joules": other.joules,
        "ratio": ratio and ratio.value,
        "low_ratio": ratio and ratio.low,
        "high_ratio": ratio and ratio.high,
        "note": energy_card(result).note,
        **{name: {key: sums[0] for (key,), sums in split.items()} for name, split in splits.items()},
        "entries": {name: asdict(price) for name, price in energy_card(result).entries.items()},
    }


def _finite(node: object) -> object:
    """The same with null for what is no number, which JSON does not know."""
    if isinstance(node, Mapping):
        return {name: _finite(each) for name, each in node.items()}
    if isinstance(node, list | tuple):
        return [_finite(each) for each in node]
    return None if isinstance(node, float) and not math.isfinite(node) else node
