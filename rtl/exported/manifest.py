"""What an exported folder holds, for programs: `manifest.json`."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from amaranth.lib import wiring

from rtl.axi.array import GIVEN, RESULTS, axi_signature, lane_bytes, stream_widths
from rtl.axi.registers import IDENTITY, REGISTERS
from rtl.exported.naming import release
from rtl.parameters import Parameters
from rtl.run import ITSELF, REASONS, field_bits
from rtl.synthesis import Cells
from rtl.verilate import ports_of

MANIFEST = "manifest.json"
Json = dict[str, Any]


def ports(signature: wiring.Signature, texts: Mapping[str, str]) -> list[Json]:
    """Ports by name; `texts` says what they are, by how their names begin."""
    out = []
    for port in ports_of(signature.create()):
        text = next((text for name, text in texts.items() if port.name.startswith(name)), "")
        out.append(
            {"name": port.name, "direction": "input" if port.is_input else "output", "bits": port.bits, "text": text}
        )
    return out


CLOCKED = [
    {"name": "clk", "direction": "input", "bits": 1, "text": "clock, rising edge"},
    {"name": "rst", "direction": "input", "bits": 1, "text": "synchronous, high"},
]


def run_fields() -> list[Json]:
    """The fields of a run, the lowest first."""
    out, lowest = [], 0
    for name, width in field_bits().items():
        out.append({"name": name, "lowest": lowest, "bits": width, "less_one": name not in ITSELF})
        lowest += width
    return out


def array_facts(p: Parameters, modules: Sequence[str], sources: Sequence[str]) -> Json:
    """What is special of an array: parameters, cycles, the run, its errors, and AXI. modules: array, AXI, bench."""
    streams = {
        name: {
            "prefix": prefix,
            "words": stream_widths(p)[prefix][0],
            "bits": stream_widths(p)[prefix][1],
            "bytes": lane_bytes(stream_widths(p)[prefix][1]),
        }
        for name, prefix in {**GIVEN, "results": RESULTS}.items()
    }
    return {
        "modules": dict(zip(("array", "axi", "test_bench"), modules, strict=True)),
        "parameters": {each.name: getattr(p, each.name) for each in fields(p)},
        "cycles": {
            "input": p.input_latency,
            "shortest": p.timing.shortest,
            "to_last_sum": p.latency,
            "after_reset": p.after_reset,
        },
        "run": run_fields(),
        "errors": [{"number": int(error), "text": text} for error, text in REASONS.items()],
        "axi": {
            "module": modules[1],
            "sources": list(sources),
            "id": IDENTITY,
            "registers": [asdict(each) for each in REGISTERS],
            "streams": streams,
            "ports": ports(axi_signature(p), {}),
        },
    }


def manifest(
    title: str,
    command: str,
    facts: Json,
    found: Sequence[Json],
    cells: Cells | None,
    files: Mapping[str, str],
    clocked: bool = True,
) -> str:
    """Its text. cells: of an ECP5 after synthesis, where they were counted. clocked: `clk` and `rst` are ports too."""
    told = {
        "title": title,
        "made_by": f"sparsehil {release()}",
        "command": command,
        **facts,
        "ports": [*(CLOCKED if clocked else []), *found],
        "cells": None if cells is None else {"family": "ecp5", **asdict(cells)},
        "files": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in sorted(files.items())},
    }
    return json.dumps(told, indent=2) + "\n"
