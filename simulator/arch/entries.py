"""Entries of an energy table: prices of actions and static powers, each with its range and where it comes from.

A static power may be so many watts each of what a machine has of them. `of` is then arithmetic over its fields
(`simulator.expression`), in which a field of null, or of a section of null, counts 0. Such a power is assumed where its
price or a number that it is counted by is.
"""

import math
import re
from dataclasses import dataclass, replace
from typing import Any

from simulator.arch.loading import Sheet, Tree
from simulator.expression import Value, value_of
from workloads.errors import UserError, unknown_name
from workloads.provenance import Origin, Provenance, combined

STATIC = "static"


@dataclass(frozen=True)
class Entry:
    """A price, or a static power: its value, the range it may lie in, and where it comes from.

    count: of a power of so many watts each, how many of them the machine has; the value and its range are of all.
    """

    name: str  # "mac.fp16", "static.chip"
    value: float
    origin: Origin
    count: float | None = None

    @property
    def low(self) -> float:
        return self.value if self.origin.low is None else self.origin.low

    @property
    def high(self) -> float:
        return self.value if self.origin.high is None else self.origin.high

    @property
    def is_assumed(self) -> bool:
        return self.origin.provenance is Provenance.ASSUMED


def power_of(sheet: Sheet, path: str, node: object) -> Entry:
    """A static power in W: one number, or a number each times how many of them the machine has."""
    name = f"{STATIC}.{path.rpartition('.')[2]}"
    if not isinstance(node, dict):
        return _entry(sheet, path, name, node)
    of = node.get("of")
    if {*node} != {"each", "of"} or not isinstance(of, str):
        raise _wrong(sheet, path, "a static power is a number of watts, or {each: WATTS, of: FIELDS}")
    named = {*re.findall(r"[^\W\d][\w.]*", of)}
    try:
        count = value_of(of, {each: _field(sheet, each) for each in named})
    except UserError as error:
        raise _wrong(sheet, f"{path}.of", str(error)) from None
    if not isinstance(count, int | float) or count < 0:
        raise _wrong(sheet, f"{path}.of", f"'{of}' is {count!r}, which is no number of at least 0")
    one = _entry(sheet, f"{path}.each", name, node["each"])
    counted = [sheet.origins[each].provenance for each in named if each in sheet.origins]
    source = f"{count:,g} x {one.value:.3g} W ({of}): {one.origin.source}"
    origin = Origin(combined(one.origin.provenance, *counted), source, count * one.low, count * one.high)
    return Entry(name, count * one.value, origin, float(count))


def _field(sheet: Sheet, path: str) -> Value:
    """What a machine says of a field; 0 where it or its section is null."""
    node: Any = sheet.values
    for key in path.split("."):
        if node is not None and not (isinstance(node, dict) and key in node):
            raise unknown_name("field", path, sheet.lines)
        node = node and node[key]
    return node or 0


def entries_of(sheet: Sheet, path: str, tree: Tree, name: str = "") -> list[Entry]:
    """All leaves below a path; one of null is none."""
    found = []
    for key, value in tree.items():
        inner, inner_path = f"{name}.{key}".lstrip("."), f"{path}.{key}"
        if isinstance(value, dict):
            found.extend(entries_of(sheet, inner_path, value, inner))
        elif value is not None:
            found.append(_entry(sheet, inner_path, inner, value))
    return found


def _entry(sheet: Sheet, path: str, name: str, value: object) -> Entry:
    """An energy or a power with its origin. What a user sets for a run has no range: it is what was asked for."""
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not (math.isfinite(number) and number >= 0) or path not in sheet.origins:
        raise _wrong(sheet, path, f"{value!r} is not allowed: an energy or power is a number of at least 0")
    origin = sheet.origins[path]
    if origin.provenance is Provenance.SET:
        origin = replace(origin, low=None, high=None)
    found = Entry(name, number, origin)
    if not found.low <= number <= found.high:
        raise _wrong(sheet, path, f"{number:g} lies outside its own range, {found.low:g} to {found.high:g}")
    return found


def _wrong(sheet: Sheet, path: str, said: str) -> UserError:
    return UserError(f"{sheet.lines.get(path, sheet.path.name)}: {path}: {said}")
