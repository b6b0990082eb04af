"""What a kind of machine brings: a compiler from workloads to its schedules, with the choices it takes."""

import difflib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Generic, TypeVar

from simulator.arch.machine import Machine, Spec
from simulator.job import Value
from simulator.runs import Runs
from simulator.schedule import Schedule
from workloads.errors import UserError
from workloads.files.limits import Limits
from workloads.registry import COMPILERS, entry_of, load_part
from workloads.workload import Workload

SpecT = TypeVar("SpecT", bound=Spec)
OptionsT = TypeVar("OptionsT")
SWITCH = {"true": True, "false": False}


@dataclass(frozen=True)
class StepOptions:
    """What every machine that takes steps can be asked. check_capacity: refuse a step that does not fit its memory.

    A field of a kind's own options that names a registered part says so in its metadata: `registered` gives the group.
    One that nobody asks for, since it is the machine's own, says `of_machine`.
    """

    check_capacity: bool = True


class Compiler(ABC, Generic[SpecT, OptionsT]):
    """The compiler of one kind of machine, registered under `sparsehil.compilers` by that kind's name.

    `Options` is a frozen dataclass: its fields are the only choices the kind takes. It raises UserError for values that
    cannot be, and reads texts, which is how the command line gives them. `engines` says what the engines of its
    programs stand for in a report ("dram": "DRAM"); any other goes by its own name. `reads_exactly`: whether a run can
    make every command an event (`--exact`). `multiplies_matrices`: whether it takes products of sparse matrices beside
    steps.
    """

    Options: type[OptionsT]
    engines: ClassVar[Mapping[str, str]] = {}
    reads_exactly: ClassVar[bool] = True
    multiplies_matrices: ClassVar[bool] = False

    def check(self, workload: Workload, spec: SpecT, options: OptionsT) -> None:
        """Raise UserError for a workload that this machine cannot take: said before anything is compiled.

        The machine's description knows; a compiler adds what it cannot do.
        """
        spec.check(workload, not isinstance(options, StepOptions) or options.check_capacity)

    def check_size(self, workload: Workload, options: OptionsT, limits: Limits) -> None:
        """Raise UserError for a checked workload that takes more than the limits allow, as `Limits.check` does."""

    @abstractmethod
    def compile(self, workload: Workload, spec: SpecT, options: OptionsT, runs: Runs) -> Schedule:
        """The schedule of a checked workload. Raises UserError where none fits the machine."""

    def card(self, schedule: Schedule, spec: SpecT, options: OptionsT, runs: Runs) -> Mapping[str, object]:
        """What the run card says of this kind besides: JSON values by name. `runs` has the schedule's timings."""
        return {}

    def parts(self, schedule: Schedule, options: OptionsT) -> Mapping[str, str]:
        """Registered parts that took part: the group of each ("sparsehil.dataflows") by its name."""
        return {}


def load_compiler(kind: str) -> Compiler[Spec, object]:
    """The compiler registered for a kind of machine. Raises UserError for a kind without one."""
    return load_part(COMPILERS, "kind of machine", kind, Compiler)


def registered(group: str) -> Mapping[str, str]:
    """The metadata of an option whose value names a part of a group of entry points."""
    return {"group": group}


def of_machine(attribute: str) -> Mapping[str, str]:
    """The metadata of an option that is an attribute of the machine (`simulator.arch.machine.Machine`)."""
    return {"machine": attribute}


def options_of(compiler: Compiler[Spec, OptionsT], machine: Machine, given: Mapping[str, Value]) -> OptionsT:
    """The options of a machine. Raises UserError for one that its kind does not have, naming those it has."""
    every, kind = fields(compiler.Options), machine.kind  # type: ignore[arg-type]
    known = {each.name: each for each in every if "machine" not in each.metadata}
    read: dict[str, object] = dict(given)
    read |= {each.name: getattr(machine, each.metadata["machine"]) for each in every if each.name not in known}
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise UserError(f"{name}: a machine of kind {kind} has no such choice{hint} (it has {', '.join(known)})")
        if "group" in known[name].metadata:
            entry_of(known[name].metadata["group"], name, str(value))
        if isinstance(known[name].default, bool):
            read[name] = _switch(name, value)
    return compiler.Options(**read)


def _switch(name: str, value: Value) -> bool:
    if str(value).lower() not in SWITCH:
        raise UserError(f"{name}: '{value}' is neither true nor false")
    return SWITCH[str(value).lower()]
