"""What a sweep is asked for, from a YAML file or the command line, and the points that makes."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from simulator.job import Job, Source, option_pairs
from simulator.sweep.expression import Value, typed, value_of
from workloads.errors import UserError, unknown_name
from workloads.registry import DATAFLOWS, KERNELS, METHODS, MODELS
from workloads.work import TRAINING, Work

AXES = ("arch", "model", "matrix", "pattern", "method", "batch", "sequence", "mode", "dataflow", "kernel")
REGISTERED = {"model": MODELS, "method": METHODS, "dataflow": DATAFLOWS, "kernel": KERNELS}
KEYS = (*AXES, "set", "tie", "where", "points")
RANGE = re.compile(r"(-?\d+)\.\.(-?\d+):(\d+)")


class Described(Protocol):
    """The machines that a sweep names."""

    def fields(self, name: str) -> Mapping[str, Value]:
        """The values of a machine by dotted path."""
        ...

    def source(self, name: str) -> Source:
        """The machine as a job keeps it."""
        ...


@dataclass(frozen=True)
class SweepSpec:
    """`grid` has the values of every axis (one of AXES or a field of the machine); their product is swept.

    `points` are single points instead, each on top of the grid's values. `ties` are fields that follow others, `where`
    what has to hold. Texts throughout, as on the command line.
    """

    grid: Mapping[str, tuple[str, ...]]
    ties: Mapping[str, str] = field(default_factory=dict)
    where: tuple[str, ...] = ()
    points: tuple[Mapping[str, str], ...] = ()
    check_capacity: bool = True

    @property
    def size(self) -> int:
        """Points before constraints."""
        count = max(1, len(self.points))
        for values in self.grid.values():
            count *= len(values)
        return count


def from_grid(texts: Sequence[str], ties: Sequence[str], where: Sequence[str]) -> SweepSpec:
    """A spec from `--grid AXIS=A,B,C` (or A..B:STEP) and `--tie FIELD=EXPRESSION`. Raises UserError for a bad one."""
    grid: dict[str, tuple[str, ...]] = {}
    for text in texts:
        axis, values = _split(text, "--grid", "array.rows=8,16,32")
        if axis in grid:
            raise UserError(f"--grid {text}: {axis} is given twice; give all its values at once")
        grid[axis] = _values(values)
    return SweepSpec(
        grid, dict(_split(tie, "--tie", "dram.capacity_gib=16*dram.channels") for tie in ties), tuple(where)
    )


def read_spec(path: Path) -> SweepSpec:
    """A spec from a YAML file. Raises UserError that names the file and what is wrong in it."""
    try:
        node = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, YAMLError, ValueError) as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(node, dict):
        raise UserError(f"{path}: a sweep is a mapping with some of {', '.join(KEYS)}")
    for key in node:
        if key not in KEYS:
            raise unknown_name("key", str(key), KEYS, str(path))
    axes = {axis: node[axis] for axis in AXES if axis in node}
    grid = {**axes, **_mapping(node, "set", path)}
    single = node.get("points", [])
    if not isinstance(single, list) or not all(isinstance(each, dict) for each in single):
        raise UserError(f"{path}: points: a list of mappings, such as {{array.rows: 48, pattern: '2:8'}}")
    where = node.get("where", [])
    return SweepSpec(
        grid={str(axis): _listed(values, f"{path}: {axis}") for axis, values in grid.items()},
        ties={str(name): str(text) for name, text in _mapping(node, "tie", path).items()},
        where=tuple(map(str, where if isinstance(where, list) else [where])),
        points=tuple({str(name): _text(value) for name, value in each.items()} for each in single),
    )


def joined(file: SweepSpec, line: SweepSpec) -> SweepSpec:
    """What a file says, with what the command line says in its place or besides."""
    return SweepSpec({**file.grid, **line.grid}, {**file.ties, **line.ties}, (*file.where, *line.where), file.points)


def expand(spec: SweepSpec, machines: Described) -> list[Job]:
    """The points, each once, in the order of the grid.

    Raises UserError for an expression that cannot be worked out, and where no point is left.
    """
    points = dict.fromkeys(point for chosen in _products(spec) if (point := make_point(spec, chosen, machines)))
    if not points:
        raise UserError(f"no point is left: none of {spec.size} meets {' and '.join(spec.where)}")
    return list(points)


def make_point(spec: SweepSpec, chosen: Mapping[str, str], machines: Described) -> Job | None:
    """The point of a choice on every axis; None where it does not meet the constraints."""
    arch = chosen.get("arch", "sat")
    known = {**machines.fields(arch), **{name: typed(text) for name, text in chosen.items()}}
    settings = {name: value for name, value in chosen.items() if name not in AXES}
    for name, expression in spec.ties.items():
        known[name] = value_of(expression, known)
        settings[name] = _text(known[name])
    if not all(value_of(condition, known) for condition in spec.where):
        return None
    patterns = chosen.get("pattern")
    return Job(
        machine=machines.source(arch),
        work=Work(
            model=chosen.get("model"),
            matrices=(chosen["matrix"],) if "matrix" in chosen else (),
            batch=_whole("batch", chosen),
            sequence=_whole("sequence", chosen),
            mode=chosen.get("mode", TRAINING),
        ),
        patterns=None if patterns is None else tuple(part.strip() for part in patterns.split(";")),
        method=chosen.get("method", "bdwp"),
        settings=tuple(f"{name}={value}" for name, value in sorted(settings.items())),
        options=option_pairs(
            {
                "dataflow": chosen.get("dataflow"),
                "kernel": chosen.get("kernel"),
                "check_capacity": None if spec.check_capacity else False,
            }
        ),
    )


def _products(spec: SweepSpec) -> Iterator[dict[str, str]]:
    for single in spec.points or ({},):
        axes = {axis: values for axis, values in spec.grid.items() if axis not in single}
        for chosen in itertools.product(*axes.values()):
            yield {**dict(zip(axes, chosen, strict=True)), **single}


def _split(text: str, option: str, example: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise UserError(f"{option} {text}: write for example {option} {example}")
    return name.strip(), value.strip()


def _values(text: str) -> tuple[str, ...]:
    steps = RANGE.fullmatch(text)
    if steps:
        low, high, step = map(int, steps.groups())
        if step < 1 or high < low:
            raise UserError(f"'{text}': a range is LOW..HIGH:STEP, such as 8..64:8")
        return tuple(map(str, range(low, high + 1, step)))
    found = tuple(value.strip() for value in text.split(",") if value.strip())
    if not found:
        raise UserError(f"'{text}': holds no value")
    return found


def _listed(values: object, place: str) -> tuple[str, ...]:
    if isinstance(values, str) and RANGE.fullmatch(values):
        return _values(values)
    listed = values if isinstance(values, list) else [values]
    if not listed or any(isinstance(value, dict | list) for value in listed):
        raise UserError(f"{place}: give a value or a list of values")
    return tuple(_text(value) for value in listed)


def _mapping(node: Mapping[str, object], key: str, path: Path) -> Mapping[str, object]:
    inner = node.get(key) or {}
    if not isinstance(inner, dict):
        raise UserError(f"{path}: {key}: a mapping of fields of the machine, such as array.rows: [8, 16]")
    return inner


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def _whole(name: str, chosen: Mapping[str, str]) -> int | None:
    if name not in chosen:
        return None
    text = chosen[name]
    try:
        number = int(text)
    except ValueError:
        raise UserError(f"{name} '{text}': must be a whole number") from None
    if number < 1:
        raise UserError(f"{name} {number}: must be at least 1")
    return number
