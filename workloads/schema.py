"""What a workload file may say in short, written out, and files of schema 1 as those of schema 2.

In short are equal layers, and products of one operator that differ in their rows (or in their reduction):

    {"repeat": 24, "ops": [{"layer": "layers.{}.q", ...}, ...]}     the ops 24 times, {} being 0 to 23
    {"layer": "experts", "rows": [16, 15, 13, 20], ...}             four products; "inner" may be such a list too
"""

import json
from itertools import groupby
from typing import Any, Final

from workloads.errors import UserError
from workloads.files.limits import Limits

SCHEMA: Final = 2
LISTED = ("rows", "inner")
RENAMED = {"input_hw": "input_size"}


def renewed(node: dict[str, Any]) -> dict[str, Any]:
    """A file of schema 1 as one of schema 2, which calls a convolution's input by another name."""
    if node.get("schema_version") != 1 or not isinstance(node.get("ops"), list):
        return node
    for op in node["ops"]:
        geometry = op.get("geometry") if isinstance(op, dict) else None
        if isinstance(geometry, dict):
            op["geometry"] = {RENAMED.get(key, key): value for key, value in geometry.items()}
    return {**node, "schema_version": SCHEMA}


def written_out(nodes: list[object], place: str, limits: Limits) -> list[object]:
    """Ops with everything in short written out. Raises UserError for a repetition that cannot be, and for too many."""
    found: list[object] = []
    for number, node in enumerate(nodes):
        where = f"{place}: ops.{number}"
        limits.check("ops", len(found) + _ops_in(node, where), f"{place}: the step")
        if isinstance(node, dict) and "repeat" in node:
            text = json.dumps(node["ops"])
            for time in range(node["repeat"]):
                found += [op for each in json.loads(text.replace("{}", str(time))) for op in _split(each, where)]
        else:
            found += _split(node, where)
    return found


def _ops_in(node: object, where: str) -> int:
    """How many ops an entry stands for, at least."""
    if not (isinstance(node, dict) and "repeat" in node):
        return 1
    times, ops = node["repeat"], node.get("ops")
    whole = isinstance(times, int) and not isinstance(times, bool) and times > 0
    plain = isinstance(ops, list) and all(isinstance(op, dict) and "repeat" not in op for op in ops)
    if not (whole and isinstance(ops, list) and plain) or set(node) != {"repeat", "ops"}:
        raise UserError(f'{where}: repeat: wanted is {{"repeat": TIMES, "ops": [...]}}, with a whole number above 0')
    return int(times) * len(ops)


def _split(node: object, where: str) -> list[object]:
    """An op for every size in a list; neighbours of one size are one op, counted."""
    listed = [key for key in LISTED if isinstance(node, dict) and isinstance(node.get(key), list)]
    if not isinstance(node, dict) or not listed:
        return [node]
    if len(listed) > 1 or not node[listed[0]] or "count" in node or "geometry" in node:
        raise UserError(f"{where}: {listed[0]}: a list is of one or more sizes, of a plain product without a count")
    sizes = [(size, len(list(alike))) for size, alike in groupby(node[listed[0]])]
    return [{**node, listed[0]: size, **({"count": count} if count > 1 else {})} for size, count in sizes]
