"""What a sweep asks for, looked at before anything runs: every name and every value of every axis."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache

from simulator.arch.loading import Tree
from simulator.arch.machine import Machine, machine_reader
from simulator.expression import Value
from simulator.job import Source, is_file_name
from simulator.sweep.spec import AXES, REGISTERED, SweepSpec
from workloads.errors import UserError, unknown_name
from workloads.files.limits import SWEEP_VALUES
from workloads.pattern import parse_patterns
from workloads.registry import names
from workloads.workload import Mode


class Machines:
    """The machines of a sweep, each read once. Not frozen: it remembers them."""

    def __init__(self) -> None:
        self.reader: Callable[[str], Callable[[Sequence[str]], Machine]] = cache(machine_reader)
        self.fields = cache(self._fields)
        self.source = cache(self._source)

    def _fields(self, name: str) -> Mapping[str, Value]:
        """The values of a machine by dotted path. Raises UserError for an unknown machine or a wrong file."""
        return dict(_flat(self.reader(name)(()).values, ""))

    def _source(self, name: str) -> Source:
        """A machine as a job keeps it: with a file's digest, so that another content makes other points."""
        return Source(name, self.reader(name)(()).sheet.digest if is_file_name(name) else "")


def checked(spec: SweepSpec) -> Machines:
    """The machines of a sweep. Raises UserError for a name or value that cannot be."""
    every: list[Mapping[str, tuple[str, ...]]] = [spec.grid]
    every += [{name: (value,) for name, value in each.items()} for each in spec.points]
    axes: dict[str, list[str]] = {}
    for group in every:
        for name, values in group.items():
            axes.setdefault(name, []).extend(values)
    if "model" not in axes and "matrix" not in axes:
        raise UserError("a sweep needs at least one model: --model, or 'model:' in its file")
    _check_names(axes)
    settings = {name: values for name, values in axes.items() if name not in AXES}
    machines = Machines()
    archs = list(dict.fromkeys(axes.get("arch", ["sat"])))
    _check_count(settings, archs)
    for arch in archs:
        read = machines.reader(arch)
        for name in spec.ties:
            if name not in machines.fields(arch):
                raise unknown_name("field", name, machines.fields(arch), f"--tie {name}")
        for name, listed in settings.items():
            if "." not in name and name not in machines.fields(arch):
                known = [*AXES, *machines.fields(arch)]
                raise unknown_name("axis", name, known, f"--grid {name}={','.join(listed)}")
            for value in dict.fromkeys(listed):
                read((f"{name}={value}",))
    return machines


def _check_count(settings: Mapping[str, Sequence[str]], archs: Sequence[str]) -> None:
    """Raises UserError for more values than can be held against their machines in a moment."""
    count = len(archs) * sum(len(set(values)) for values in settings.values())
    if count > SWEEP_VALUES:
        raise UserError(
            f"a sweep over {count:,} values of fields of machines; {SWEEP_VALUES:,} are taken, since each is looked at "
            f"before anything runs; run it in parts, which may share a folder"
        )


def _check_names(axes: Mapping[str, list[str]]) -> None:
    allowed = {axis: names(group) for axis, group in REGISTERED.items()}
    allowed["mode"] = [each.value for each in Mode]
    for axis, values in axes.items():
        for text in (axis, *values):
            if not text.isprintable():
                raise UserError(f"{axis!a}: the value {text!a} has letters that cannot be shown; take others")
    for axis, known in allowed.items():
        for value in axes.get(axis, ()):
            if value not in known:
                raise unknown_name(axis, value, known)
    for text in axes.get("pattern", ()):
        parse_patterns([part.strip() for part in text.split(";")])


def _flat(values: Tree, prefix: str) -> list[tuple[str, Value]]:
    found: list[tuple[str, Value]] = []
    for name, value in values.items():
        path = f"{prefix}{name}"
        found.extend(_flat(value, f"{path}.") if isinstance(value, dict) else [(path, value)])
    return found
