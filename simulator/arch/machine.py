"""Machines by name, by file or by content, and what a description is once it is read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os.path import realpath
from pathlib import Path
from typing import Protocol

from simulator.arch.energy import SECTION, EnergyTable, energy_table
from simulator.arch.loading import Sheet, Tree, build, parse_sheet, read_sheet, with_settings
from simulator.job import is_file_name
from workloads.errors import UserError, unknown_name
from workloads.provenance import Origin
from workloads.registry import MACHINES, load_part, load_parts
from workloads.workload import Workload


class Spec(Protocol):
    """What every kind of machine is described by, besides its own fields."""

    @property
    def title(self) -> str: ...

    @property
    def clock_mhz(self) -> float: ...

    @property
    def hypothetical(self) -> tuple[str, ...]:
        """Modes ("training", "inference") that the machine was never made for: shown wherever its title is."""
        ...

    def check(self, workload: Workload, fits: bool) -> None:
        """Raise UserError for a workload the machine cannot take; with `fits` also for one its memory cannot hold."""
        ...

    def peaks(self) -> Mapping[str, float]:
        """Rates no schedule passes, for rooflines: macs_per_cycle, dram_bytes_per_cycle; none where unknown."""
        ...


@dataclass(frozen=True)
class MachineSheet:
    """A registered machine: the file that describes it, the type that file is read as, and what it leaves out.

    `kind` is what the file's field `machine` says; all files of one kind are compiled for in the same way.
    """

    kind: str
    sheet: Path
    spec: type
    not_modelled: tuple[str, ...] = ()


@dataclass(frozen=True)
class Machine:
    """A machine described: `spec` holds plain numbers, `origins` where each comes from, by dotted path.

    `values` are the numbers by nested key, `energy` the energy table in force, None where the file has none. `sheet` is
    the file as it was read, without the `settings` ("array.rows=64") that are in force.

    >>> load_machine("sat").origins["array.rows"].provenance.value
    'assumed'
    """

    name: str
    kind: str
    spec: Spec
    origins: Mapping[str, Origin]
    values: Tree
    not_modelled: tuple[str, ...]
    energy: EnergyTable | None
    sheet: Sheet = field(repr=False)
    settings: tuple[str, ...] = ()


def load_machine(name: str | Path, settings: Sequence[str] = ()) -> Machine:
    """A machine by its registered name or the path of a YAML file, with texts such as "array.rows=64" applied.

    Raises UserError for an unknown name, a wrong file, or a setting of a field that is not there.

    >>> load_machine("sat", ["array.rows=64"]).spec.array.rows
    64
    """
    return machine_reader(str(name))(settings)


def machine_reader(name: str, content: str = "") -> Callable[[Sequence[str]], Machine]:
    """A machine's description, read once, for any settings. Raises UserError as `load_machine` does.

    With `content`, the text of a machine file, `name` is only what the machine is called.
    """
    if content or is_file_name(name):
        path = Path(name)
        sheet = parse_sheet(path, content) if content else read_sheet(path)
        registered, name = _registered(sheet), path.stem if is_file_name(name) else name
    else:
        registered = load_part(MACHINES, "machine", name, MachineSheet)
        sheet = replace(read_sheet(registered.sheet), root=None)  # a machine of its own, also where it extends another
    return lambda settings: _machine(name, registered, sheet, tuple(settings))


def _machine(name: str, registered: MachineSheet, base: Sheet, settings: tuple[str, ...]) -> Machine:
    sheet = with_settings(base, settings)
    timed = replace(sheet, values={key: value for key, value in sheet.values.items() if key != SECTION})
    spec: Spec = build(timed, registered.spec)
    energy = energy_table(sheet)  # behind the fields, which it counts by
    if sheet.bare:  # behind both, since a misspelt field is the likelier mistake
        raise UserError(sheet.bare[0])
    origins = {path: origin for path, origin in sheet.origins.items() if not path.startswith(f"{SECTION}.")}
    kind, left_out = registered.kind, registered.not_modelled
    return Machine(name, kind, spec, origins, timed.values, left_out, energy, base, settings)


def _registered(sheet: Sheet) -> MachineSheet:
    """The registered machine that a file is a variant of: the one it extends, or the first of its kind."""
    kind = str(sheet.values.get("machine", ""))
    every = list(load_parts(MACHINES, "machine", MachineSheet).values())
    bases = {*map(realpath, sheet.bases)}
    for machine in [each for each in every if realpath(each.sheet) in bases] + every:
        if machine.kind == kind:
            return machine
    kinds = sorted({machine.kind for machine in every})
    if not kind:
        raise UserError(
            f"{sheet.path}: machine: this field is missing; it is one of {', '.join(kinds)}, or use 'extends'"
        )
    raise unknown_name("kind of machine", kind, kinds, f"{sheet.path}: machine")
