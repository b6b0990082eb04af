"""The run card: what ran, on what terms, and where its numbers come from."""

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from typing import Any

from pydantic import TypeAdapter, ValidationError

from simulator.arch.loading import Tree
from simulator.arch.machine import Machine
from simulator.job import Job
from workloads.errors import UserError
from workloads.provenance import Provenance
from workloads.workload import Capture, Workload

SCHEMA = 2
Json = Mapping[str, Any]  # values as JSON has them
VERSIONS = ("sparsehil", "numpy", "numba", "simpy", "pandas")


@dataclass(frozen=True)
class Number:
    """A number of the machine, its provenance (`workloads.provenance`), source, and the range it may lie in."""

    value: int | float | bool | str | None
    provenance: Provenance
    source: str
    low: int | float | None = None
    high: int | float | None = None

    @property
    def is_assumed(self) -> bool:
        """Whether nobody stated it: switches and words are choices, not numbers."""
        return self.provenance is Provenance.ASSUMED and isinstance(self.value, int | float)


@dataclass(frozen=True)
class Price:
    """An entry of the energy table: pJ an action, or W."""

    value: int | float
    unit: str
    low: int | float
    high: int | float
    provenance: Provenance
    source: str


@dataclass(frozen=True)
class EnergyCard:
    """The energy table in force, every entry with its origin."""

    table: str
    technology: str
    scaling: str
    format: str
    entries: Mapping[str, Price]


@dataclass(frozen=True)
class Cost:
    """What the run cost, not what it models: seconds of wall and CPU time, and commands or events evaluated."""

    kernel_load_seconds: float = 0.0
    simulation_seconds: float = 0.0
    simulation_cpu_seconds: float = 0.0
    commands_evaluated: int = 0


@dataclass(frozen=True)
class Card:
    """What a result says of itself.

    job: what was asked, so that it can be run again. arch_hash: of the machine's numbers. peaks: rates no schedule
    passes. causes: words for the stall columns, by name. outside: parts that other distributions brought, each with its
    distribution and version. more: what only this kind of machine says. hil: what hardware in the loop said.
    """

    command: tuple[str, ...]
    job: Job
    arch: str
    kind: str
    arch_title: str
    arch_hash: str
    clock_mhz: float
    dataflow: str
    exact: bool
    model: str
    method: str
    pattern: str
    batch: int
    sequence: int
    mode: str
    capture: Capture
    numbers: Mapping[str, Number]
    peaks: Mapping[str, float]
    not_modelled: tuple[str, ...]
    versions: Mapping[str, str]
    causes: Mapping[str, str] = field(default_factory=dict)
    outside: Mapping[str, str] = field(default_factory=dict)
    cost: Cost = Cost()
    energy: EnergyCard | None = None
    more: Json = field(default_factory=dict)
    hil: Json | None = None
    schema: int = SCHEMA

    @property
    def assumed(self) -> list[str]:
        """The numbers of the machine that nobody stated, by dotted path."""
        return sorted(path for path, each in self.numbers.items() if each.is_assumed)

    @property
    def is_dense(self) -> bool:
        """Whether no pattern is in force."""
        return self.pattern == "dense"

    @property
    def clock_hz(self) -> float:
        return self.clock_mhz * 1e6

    def to_json(self) -> dict[str, object]:
        """The card as JSON values; `from_json` makes it again. `assumed` is there for readers of the file."""
        return {**asdict(self), "job": self.job.to_json(), "assumed": self.assumed}

    @classmethod
    def from_json(cls, node: Json) -> "Card":
        """The card that `to_json` told of. Raises UserError for another schema, and for what is no card."""
        if not isinstance(node, dict) or "schema" not in node:
            raise UserError("is no run card")
        if node["schema"] != SCHEMA:
            again = shlex.join(map(str, node.get("command", ())))
            hint = f"; make it again: {again}" if again else ""
            raise UserError(f"has schema {node['schema']}, this program reads {SCHEMA}{hint}")
        fields = {name: value for name, value in node.items() if name != "assumed"}
        try:
            return _reader().validate_python({**fields, "job": Job.from_json(node.get("job", {}))})
        except ValidationError as error:
            first = error.errors()[0]
            raise UserError(f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from None


def card_of(machine: Machine, workload: Workload, job: Job, command: tuple[str, ...]) -> Card:
    """The card of a run that is about to begin."""
    spec = machine.spec
    title = f"{spec.title}; HYPOTHETICAL: this chip is not made for {workload.mode.value}"
    return Card(
        command=command,
        job=job,
        arch=machine.name,
        kind=machine.kind,
        arch_title=title if workload.mode in spec.hypothetical else spec.title,
        arch_hash=sha256(repr(spec).encode()).hexdigest()[:16],
        clock_mhz=float(spec.clock_mhz),
        dataflow=str(dict(job.options).get("dataflow", "best by layer")),
        exact=job.exact,
        model=workload.model,
        method=workload.method,
        pattern=workload.pattern,
        batch=workload.batch,
        sequence=workload.sequence,
        mode=workload.mode.value,
        capture=workload.capture,
        numbers=numbers_of(machine),
        peaks=dict(spec.peaks()),
        not_modelled=machine.not_modelled,
        versions=_versions(),
    )


def numbers_of(machine: Machine) -> dict[str, Number]:
    """Every number of a machine, by dotted path."""
    return {
        path: Number(_value(machine.values, path), origin.provenance, origin.source, origin.low, origin.high)
        for path, origin in machine.origins.items()
    }


@cache
def _reader() -> TypeAdapter[Card]:
    return TypeAdapter(Card)


@cache
def _versions() -> Mapping[str, str]:
    return {name: version(name) for name in VERSIONS}


def _value(values: Tree, path: str) -> int | float | bool | str | None:
    *groups, last = path.split(".")
    for key in groups:
        values = values[key]
    found: int | float | bool | str | None = values[last]
    return found
