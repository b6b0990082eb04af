"""A step as one JSON object; its schema is part of what users build on."""

import json
import math
from typing import Any

from reports.energy import energy_by, energy_total, has_energy, op_joules
from reports.phases import arithmetic_ceiling, phase_table
from simulator.program import Stall
from simulator.result import SCHEMA, Result, bytes_by_memory


def step_json(sparse: Result, dense: Result) -> str:
    """The keys are described in `SCHEMA.md`."""
    card = sparse.card
    node = {
        "schema": SCHEMA,
        **{key: card[key] for key in ("arch", "pattern", "model", "method", "batch", "sequence", "mode", "exact")},
        "clock_mhz": card["clock_mhz"],
        "totals": _totals(sparse, dense),
        "ceiling": _number(arithmetic_ceiling(sparse)),
        "energy": _energy(sparse, dense),
        "ops": _ops(sparse),
        "hil": None if sparse.hil is None else {**card["hil"], "tile_rows": sparse.hil.to_dict("records")},
        "assumed": {path: card["numbers"][path] for path in card["assumed"]},
        "numbers": card["numbers"],
        "not_modelled": card["not_modelled"],
        "versions": card["versions"],
        "cost": card["cost"],
    }
    return json.dumps(node, indent=1)


def product_json(result: Result) -> str:
    """A product of matrices on a fabric. Keys: schema, arch, model, matrices, kernel, kernel_options, kernel_steps,
    clock_mhz, cycles, seconds, ops, instructions, fabric, assumed, numbers, not_modelled, versions, cost.

    `fabric` has the threads' time and the use of resources as shares, probes, occupancy and the timeline.
    """
    card = result.card
    counted = result.actions[result.actions["kind"] == "instruction"]
    keys = ("arch", "model", "matrices", "kernel", "kernel_options", "kernel_steps", "clock_mhz", "fabric")
    node = {
        "schema": SCHEMA,
        **{key: card[key] for key in keys},
        "cycles": result.cycles,
        "seconds": result.cycles / (float(card["clock_mhz"]) * 1e6),
        "ops": _ops(result),
        "instructions": {str(kind): int(n) for kind, n in zip(counted["tensor"], counted["amount"], strict=True)},
        "assumed": {path: card["numbers"][path] for path in card["assumed"]},
        **{key: card[key] for key in ("numbers", "not_modelled", "versions", "cost")},
    }
    return json.dumps(node, indent=1)


def _totals(sparse: Result, dense: Result) -> dict[str, Any]:
    table = phase_table(sparse, dense)
    columns = [table[name].tolist() for name in ("cycles", "seconds", "utilisation", "speedup")]
    return {
        str(phase): {
            "cycles": cycles,
            "seconds": seconds,
            "utilisation": _number(utilisation),
            "speedup_over_dense": _number(speedup),
        }
        for phase, cycles, seconds, utilisation, speedup in zip(table.index, *columns, strict=True)
    }


def _ops(result: Result) -> list[dict[str, Any]]:
    moved = bytes_by_memory(result)
    plain = ["layer", "phase", "kind", "dataflow", "detail", "rows", "cols", "inner", "count", "pattern"]
    plain += ["cycles", "busy_cycles"]
    counted = ["macs_useful", "macs_padded", "macs_skipped"]
    joules = op_joules(result) if has_energy(result) else {}
    ops = []
    for number, row in enumerate(result.ops.to_dict("records")):
        stalls = {stall.value: row[f"stall_{stall.value}"] for stall in Stall if row[f"stall_{stall.value}"]}
        ops.append(
            {
                **{key: row[key] for key in plain},
                "stall_cycles": stalls,
                **{key: row[key] for key in counted},
                "bytes": moved.get(number, {}),
                "energy_joules": joules[number] if has_energy(result) else None,
            }
        )
    return ops


def _energy(sparse: Result, dense: Result) -> dict[str, Any] | None:
    """Joules; null for a machine without an energy table."""
    if not has_energy(sparse):
        return None
    mine, other = energy_total(sparse), energy_total(dense)
    splits = {f"by_{by}": energy_by(sparse, [by])["mj"] / 1e3 for by in ("component", "phase", "tensor")}
    return {
        "table": sparse.card["energy"]["table"],
        "joules": mine.joules,
        "low_joules": mine.low,
        "high_joules": mine.high,
        "watts": mine.watts,
        "energy_delay_joule_seconds": mine.energy_delay,
        "assumed_share": mine.assumed_share,
        "dense_joules": other.joules,
        **{name: {str(key): float(value) for key, value in split.items()} for name, split in splits.items()},
        "entries": sparse.card["energy"]["entries"],
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
