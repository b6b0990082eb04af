"""Machines by name or by file, and what a description is once it is read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simulator.arch.energy import SECTION, EnergyTable, energy_table
from simulator.arch.loading import Sheet, build, read_sheet, with_settings
from workloads.errors import UserError, unknown_name
from workloads.provenance import Origin
from workloads.registry import load_entry, names

MACHINES = "sparsehil.machines"


@dataclass(frozen=True)
class Machine:
    """A registered machine: the file that describes it, the type that file is read as, and what it leaves out.

    `kind` is what the file's field `machine` says; all files of one kind are compiled for in the same way.
    """

    kind: str
    sheet: Path
    spec: type
    not_modelled: tuple[str, ...] = ()


@dataclass(frozen=True)
class Arch:
    """A machine described: `spec` holds plain numbers, `origins` where each comes from, by dotted path.

    `energy` is the table in force, None where the file has none.
    """

    name: str
    kind: str
    spec: Any
    origins: Mapping[str, Origin]
    values: Mapping[str, Any]
    not_modelled: tuple[str, ...]
    energy: EnergyTable | None = None


def load_arch(name: str, settings: Sequence[str] = ()) -> Arch:
    """A machine by its registered name or the path of a YAML file, with `--set` texts applied.

    Raises UserError for an unknown name or a wrong file.
    """
    return arch_reader(name)(settings)


def arch_reader(name: str) -> Callable[[Sequence[str]], Arch]:
    """A machine's file, read once, for any `--set` texts. Raises UserError as `load_arch` does."""
    if is_file_name(name):
        path = Path(name)
        sheet = read_sheet(path)
        machine, name = _of_kind(path, str(sheet.values.get("machine", ""))), path.stem
    else:
        machine = load_entry(MACHINES, "machine", name)
        sheet = read_sheet(machine.sheet)
    return lambda settings: _arch(name, machine, with_settings(sheet, settings))


def _arch(name: str, machine: Machine, sheet: Sheet) -> Arch:
    energy = energy_table(sheet)
    timed = replace(sheet, values={key: value for key, value in sheet.values.items() if key != SECTION})
    spec: Any = build(timed, machine.spec)
    origins = {path: origin for path, origin in sheet.origins.items() if not path.startswith(f"{SECTION}.")}
    return Arch(name, machine.kind, spec, origins, timed.values, machine.not_modelled, energy)


def is_file_name(name: str) -> bool:
    """Whether a machine is named by its file."""
    return name.endswith((".yaml", ".yml")) or "/" in name


def _of_kind(path: Path, kind: str) -> Machine:
    registered: list[Machine] = [load_entry(MACHINES, "machine", name) for name in names(MACHINES)]
    for machine in registered:
        if machine.kind == kind:
            return machine
    kinds = sorted({machine.kind for machine in registered})
    if not kind:
        raise UserError(f"{path}: machine: this field is missing; it is one of {', '.join(kinds)}, or use 'extends'")
    raise unknown_name("kind of machine", kind, kinds, f"{path}: machine")
