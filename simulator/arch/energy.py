"""What an action costs: the `energy` section of a machine file, the same for every kind of machine.

```yaml
energy:
  table: asic        # which of the tables prices the actions; --set energy.table=fpga takes another
  format: fp16       # number format of the multiply-accumulates; picks mac.fp16 where `mac` has several
  tables:
    asic:
      technology: 45 nm CMOS at 0.9 V
      scaling: none
      static_w:      # watts by component, drawn as long as an op runs
        chip: {value: 1, provenance: assumed, source: ..., low: 0.3, high: 3}
      pj:            # picojoules an action; a kind such as west.read is nested
        mac: {fp16: {value: 2, provenance: secondary, source: ...}}
        west: {read: {...}, write: {...}}
```

An action of kind `a.b` (`simulator.program.Action`) is priced by the entry `pj.a.b`, by `pj.a.b.FORMAT` where `pj.a.b`
has entries by number format, or by `pj.a.b.TENSOR` where it has entries by what the action is counted for. `format` is
a format or the path of the machine's own field that names it (format.inference). One unit of an action is a
multiply-accumulate, a byte of a memory access or of a hop between neighbours, an element of SORE, of an update, of a
lane or of the transposer, an instruction.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked

from simulator.arch.loading import Sheet, Tree, build
from workloads.errors import UserError, unknown_name
from workloads.provenance import Origin, Provenance

SECTION = "energy"
STATIC = "static"
CLOSED = ConfigDict(extra="forbid", defer_build=True)


@checked(frozen=True, config=CLOSED)
class TableSpec:
    """A table as written: `static_w` watts by component, `pj` picojoules an action, nested by the parts of its kind."""

    technology: str
    scaling: str
    static_w: Tree
    pj: Tree


@checked(frozen=True, config=CLOSED)
class EnergySpec:
    table: str
    format: str
    tables: dict[str, TableSpec]


@checked(frozen=True, config=CLOSED)
class _Section:
    energy: EnergySpec


@dataclass(frozen=True)
class Entry:
    """A price, or a static power: its value, the range it may lie in, and where it comes from."""

    name: str  # "mac.fp16", "static.chip"
    value: float
    origin: Origin

    @property
    def low(self) -> float:
        return self.value if self.origin.low is None else self.origin.low

    @property
    def high(self) -> float:
        return self.value if self.origin.high is None else self.origin.high

    @property
    def is_assumed(self) -> bool:
        return self.origin.provenance is Provenance.ASSUMED


@dataclass(frozen=True)
class EnergyTable:
    """The table in force. `entries` are prices in pJ by name, `static` powers in W by component."""

    place: str  # "sat.yaml: energy.tables.asic"
    name: str
    format: str
    technology: str
    scaling: str
    static: tuple[Entry, ...]
    entries: Mapping[str, Entry]

    def entry(self, kind: str, tensor: str = "") -> Entry:
        """What an action costs. Raises UserError that names an action without an entry."""
        for name in (kind, f"{kind}.{self.format}", f"{kind}.{tensor}"):
            if name in self.entries:
                return self.entries[name]
        known = ", ".join(self.entries)
        counted = f"counted for {tensor or 'nothing'} in {self.format}"
        raise UserError(f"{self.place}.pj: no energy entry for the action '{kind}', {counted} (entries: {known})")


def energy_table(sheet: Sheet) -> EnergyTable | None:
    """The table a machine file has in force; None where it has no energy section.

    Raises UserError for an unknown table or field and for what is no energy.
    """
    section = sheet.values.get(SECTION)
    if section is None:
        return None
    spec = build(replace(sheet, values={SECTION: section}, bare=()), _Section).energy  # bare numbers: machine.py looks
    if spec.table not in spec.tables:
        place = sheet.lines.get(f"{SECTION}.table", sheet.path.name)
        raise unknown_name("energy table", spec.table, spec.tables, f"{place}: {SECTION}.table")
    table, path = spec.tables[spec.table], f"{SECTION}.tables.{spec.table}"
    static = _entries(sheet, f"{path}.static_w", table.static_w)
    prices = _entries(sheet, f"{path}.pj", table.pj)
    return EnergyTable(
        place=f"{sheet.path.name}: {path}",
        name=spec.table,
        format=_named(sheet.values, spec.format),
        technology=table.technology,
        scaling=table.scaling,
        static=tuple(Entry(f"{STATIC}.{each.name}", each.value, each.origin) for each in static),
        entries={each.name: each for each in prices},
    )


def _named(values: Tree, text: str) -> str:
    """A number format, or what the field at a dotted path says it is."""
    node: object = values
    for key in text.split("."):
        node = node.get(key) if isinstance(node, Mapping) else None
    return node if isinstance(node, str) else text


def _entries(sheet: Sheet, path: str, tree: Tree, name: str = "") -> list[Entry]:
    """All leaves below a path; one of null is none."""
    found = []
    for key, value in tree.items():
        inner, inner_path = f"{name}.{key}".lstrip("."), f"{path}.{key}"
        if isinstance(value, dict):
            found.extend(_entries(sheet, inner_path, value, inner))
        elif value is not None:
            found.append(Entry(inner, _number(sheet, inner_path, value), sheet.origins[inner_path]))
    return found


def _number(sheet: Sheet, path: str, value: object) -> float:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not (math.isfinite(number) and number >= 0) or path not in sheet.origins:
        place = sheet.lines.get(path, sheet.path.name)
        raise UserError(f"{place}: {path}: {value!r} is not allowed: an energy or power is a number of at least 0")
    return float(number)
