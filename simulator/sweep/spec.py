"""What a sweep is asked for, and the points that makes. `asked` reads it."""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from simulator.expression import Value, typed, value_of
from simulator.job import Job, Source, option_pairs
from workloads.errors import UserError
from workloads.files.limits import DIGITS, EXPRESSION_LETTERS, LIMITS, Limits
from workloads.registry import DATAFLOWS, KERNELS, METHODS, MODELS
from workloads.work import TRAINING, Work

AXES = ("arch", "model", "matrix", "pattern", "method", "batch", "sequence", "mode", "dataflow", "kernel")
REGISTERED = {"model": MODELS, "method": METHODS, "dataflow": DATAFLOWS, "kernel": KERNELS}


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
    what has to hold. Texts throughout, as on the command line. `limits` are those of the sweep and of every point.
    """

    grid: Mapping[str, tuple[str, ...]]
    ties: Mapping[str, str] = field(default_factory=dict)
    where: tuple[str, ...] = ()
    points: tuple[Mapping[str, str], ...] = ()
    check_capacity: bool = True
    limits: Limits = LIMITS

    @property
    def size(self) -> int:
        """Points before constraints."""
        return sum(
            math.prod(len(values) for axis, values in self.grid.items() if axis not in single)
            for single in self.points or ({},)
        )

    def check_size(self) -> None:
        """Raises UserError for more points than the limit, before any is made, and for too much to work out of each."""
        self.limits.check("points", self.size, "this sweep")
        self.check_expressions()

    def check_expressions(self) -> None:
        """Raises UserError where ties and constraints are too long, all together: each point works them all out."""
        letters = sum(map(len, (*self.ties.values(), *self.where)))
        if letters > EXPRESSION_LETTERS:
            raise UserError(f"ties and constraints of {letters:,} letters; {EXPRESSION_LETTERS:,} are taken in all")


def joined(file: SweepSpec, line: SweepSpec) -> SweepSpec:
    """What a file says, with what the command line says in its place or besides; limits are the command line's."""
    return replace(
        line,
        grid={**file.grid, **line.grid},
        ties={**file.ties, **line.ties},
        where=(*file.where, *line.where),
        points=file.points,
    )


def expand(spec: SweepSpec, machines: Described) -> list[Job]:
    """The points, each once, in the order of the grid.

    Raises UserError for more than the limit, an expression that cannot be worked out, and where no point is left.
    """
    spec.check_size()
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
            limits=spec.limits,
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


def _text(value: Value) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def _whole(name: str, chosen: Mapping[str, str]) -> int | None:
    if name not in chosen:
        return None
    text = chosen[name]
    try:
        number = int(text[: DIGITS + 1])
    except ValueError:
        raise UserError(f"{name} '{text}': must be a whole number") from None
    if number < 1:
        raise UserError(f"{name} {number}: must be at least 1")
    if len(text) > DIGITS:
        raise UserError(f"{name} {number}...: a number of more than {DIGITS} digits")
    return number
