"""What a sweep asks for, looked at before anything runs: every name and every value of every axis."""

import json
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any

from simulator.machine import arch_reader, is_file_name
from simulator.sweep.spec import AXES, Fields, SweepSpec
from simulator.sweep.version import model_version
from workloads.errors import UserError, unknown_name
from workloads.pattern import parse_patterns
from workloads.registry import METHODS, names
from workloads.shipped import shipped_models
from workloads.workload import Mode


def checked_fields(spec: SweepSpec) -> Fields:
    """The values of each machine by dotted path. Raises UserError for a name or value that cannot be."""
    every: list[Mapping[str, tuple[str, ...]]] = [spec.grid]
    every += [{name: (value,) for name, value in each.items()} for each in spec.points]
    axes: dict[str, list[str]] = {}
    for group in every:
        for name, values in group.items():
            axes.setdefault(name, []).extend(values)
    for needed in ("model", "pattern"):
        if needed not in axes:
            raise UserError(f"a sweep needs at least one {needed}: --{needed}, or '{needed}:' in its file")
    _check_names(axes)
    settings = {name: values for name, values in axes.items() if name not in AXES}
    for arch in axes.get("arch", ["sat"]):
        read = arch_reader(arch)
        for name in spec.ties:
            if name not in _fields(arch):
                raise unknown_name("field", name, _fields(arch), f"--tie {name}")
        for name, listed in settings.items():
            for value in dict.fromkeys(listed):
                read((f"{name}={value}",))
    return _fields


def version_of(spec: SweepSpec) -> str:
    """The version of the models, and of the machine files that are the user's own."""
    own = [name for name in spec.grid.get("arch", ()) if is_file_name(name)]
    if not own:
        return model_version()
    values = json.dumps([arch_reader(name)(()).values for name in own], sort_keys=True, default=str)
    return f"{model_version()}-{sha256(values.encode()).hexdigest()[:8]}"


def _check_names(axes: Mapping[str, list[str]]) -> None:
    allowed = {"model": shipped_models(), "method": names(METHODS), "mode": [each.value for each in Mode]}
    allowed["dataflow"] = names("sparsehil.dataflows")
    for axis, known in allowed.items():
        for value in axes.get(axis, ()):
            if value not in known:
                raise unknown_name(axis, value, known)
    for text in axes["pattern"]:
        parse_patterns([part.strip() for part in text.split(";")])


@lru_cache(maxsize=16)
def _fields(arch: str) -> Mapping[str, Any]:
    return dict(_flat(arch_reader(arch)(()).values, ""))


def _flat(values: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        path = f"{prefix}{name}"
        found.extend(_flat(value, f"{path}.") if isinstance(value, Mapping) else [(path, value)])
    return found
