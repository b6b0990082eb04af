"""What an action costs: the `energy` section of a machine file, the same for every kind of machine.

```yaml
energy:
  table: asic        # which of the tables prices the actions; --set energy.table=fpga takes another
  format: fp16       # number format of the multiply-accumulates; picks mac.fp16 where `mac` has several
  tables:
    asic:
      technology: 45 nm CMOS at 0.9 V
      scaling: none
      memory: {kind: DDR4, rate: dram.channel_bandwidth_gb_s}  # what the entries for dram are of
      static_w:      # watts by component, drawn as long as an op runs; or watts each of what the machine has of them
        chip: {value: 1, provenance: assumed, source: ..., low: 0.3, high: 3}
        pe:
          each: {value: 0.001, provenance: assumed, source: ..., low: 0.0003, high: 0.003}
          of: array.rows * array.cols
      pj:            # picojoules an action; a kind such as west.read is nested
        mac: {fp16: {value: 2, provenance: secondary, source: ...}}
        west: {read: {...}, write: {...}}
```

An action of kind `a.b` (`simulator.program.Action`) is priced by the entry `pj.a.b`, by `pj.a.b.FORMAT` where `pj.a.b`
has entries by number format, or by `pj.a.b.TENSOR` where it has entries by what the action is counted for. `format` is
a format or the path of the machine's own field that names it (format.inference). One unit of an action is a
multiply-accumulate, a byte of a memory access or of a hop between neighbours, an element of SORE, of an update, of a
lane or of the transposer, an instruction. `of` counts what the machine has, in its fields (`simulator.arch.entries`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked

from simulator.arch.entries import Entry, entries_of, power_of
from simulator.arch.loading import Sheet, Tree, build
from workloads.errors import UserError, unknown_name

SECTION = "energy"
CLOSED = ConfigDict(extra="forbid", defer_build=True)


@checked(frozen=True, config=CLOSED)
class MemoryKind:
    """What memory a table's entries for DRAM are of, and the path of the machine's field that says how fast it is."""

    kind: str
    rate: str


@checked(frozen=True, config=CLOSED)
class TableSpec:
    """A table as written: `static_w` watts by component, `pj` picojoules an action, nested by the parts of its kind."""

    technology: str
    scaling: str
    static_w: Tree
    pj: Tree
    memory: MemoryKind | None = None


@checked(frozen=True, config=CLOSED)
class EnergySpec:
    table: str
    format: str
    tables: dict[str, TableSpec]


@checked(frozen=True, config=CLOSED)
class _Section:
    energy: EnergySpec


@dataclass(frozen=True)
class EnergyTable:
    """The table in force. `entries` are prices in pJ by name, `static` powers of the whole machine in W by component.

    `note` is a sentence where a variant has another memory than the machine its entries were made for, else empty.
    """

    place: str  # "sat.yaml: energy.tables.asic"
    name: str
    format: str
    technology: str
    scaling: str
    static: tuple[Entry, ...]
    entries: Mapping[str, Entry]
    note: str = ""

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
    spec = build(replace(sheet, values={SECTION: section}), _Section).energy
    if spec.table not in spec.tables:
        place = sheet.lines.get(f"{SECTION}.table", sheet.path.name)
        raise unknown_name("energy table", spec.table, spec.tables, f"{place}: {SECTION}.table")
    table, path = spec.tables[spec.table], f"{SECTION}.tables.{spec.table}"
    powers = {name: node for name, node in table.static_w.items() if node is not None}
    return EnergyTable(
        place=f"{sheet.path.name}: {path}",
        name=spec.table,
        format=_named(sheet, spec.format),
        technology=table.technology,
        scaling=table.scaling,
        static=tuple(power_of(sheet, f"{path}.static_w.{name}", node) for name, node in powers.items()),
        entries={each.name: each for each in entries_of(sheet, f"{path}.pj", table.pj)},
        note=_note(sheet, path, table.memory) if table.memory else "",
    )


def _named(sheet: Sheet, text: str) -> str:
    """A number format, or what the field at a dotted path says it is."""
    found = sheet.at(text)
    return found if isinstance(found, str) else text


def _note(sheet: Sheet, path: str, memory: MemoryKind) -> str:
    """A sentence where a variant's DRAM is not that of the machine it is made from, but its entries are; else empty."""
    root, rate = sheet.root, sheet.at(memory.rate)
    if root is None or rate is None or rate == (before := root.at(memory.rate)):
        return ""
    ours = {each: sheet.origins[each] for each in sheet.origins if _is_of_dram(each, path)}
    kept = [
        each for each, origin in ours.items() if (sheet.at(each), origin) == (root.at(each), root.origins.get(each))
    ]
    names = ", ".join(each.removeprefix(f"{path}.").removesuffix(".each") for each in kept)
    changed = f"{memory.rate} is {rate} instead of {before or 'none'}"
    return f"{changed}, and the energy of DRAM is still {memory.kind}'s: give {names} under {path}" if kept else ""


def _is_of_dram(entry: str, path: str) -> bool:
    return f"{entry}.".startswith((f"{path}.pj.dram.", f"{path}.static_w.dram."))
