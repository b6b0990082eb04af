"""The run card: what ran, on what terms, and where its numbers come from."""

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from typing import Annotated

from pydantic import Field

from simulator.arch.loading import Tree
from simulator.arch.machine import Machine
from simulator.card_parts import Amount, Finite, Json, Scalar, Truth, Whole, check_parts
from simulator.job import Job
from workloads.errors import UserError
from workloads.files.limits import LIMITS
from workloads.files.reading import check_schema, checked
from workloads.provenance import Provenance
from workloads.workload import Capture, Workload

SCHEMA = 2
PROGRAM = "simulate"
Clock = Annotated[float, Field(strict=True, ge=1e-9, le=1e12)]  # as machines may have it
VERSIONS = ("sparsehil", "numpy", "numba", "simpy", "pandas")


@dataclass(frozen=True)
class Number:
    """A number of the machine, its provenance (`workloads.provenance`), source, and the range it may lie in."""

    value: Scalar | None
    provenance: Provenance
    source: str
    low: Finite | None = None
    high: Finite | None = None

    @property
    def is_assumed(self) -> bool:
        """Whether nobody stated it: switches and words are choices, not numbers."""
        return self.provenance is Provenance.ASSUMED and isinstance(self.value, int | float)


@dataclass(frozen=True)
class Price:
    """An entry of the energy table: pJ an action, or W; `count`: of how many of a part, where watts are of each."""

    value: Finite
    unit: str
    low: Finite
    high: Finite
    provenance: Provenance
    source: str
    count: Finite | None = None

    @property
    def parts(self) -> float:
        """What the value is divided by to be that of one."""
        return 1.0 if self.count is None else self.count


@dataclass(frozen=True)
class EnergyCard:
    """The energy table in force, every entry with its origin. note: where its entries are of another memory."""

    table: str
    technology: str
    scaling: str
    format: str
    entries: Mapping[str, Price]
    note: str = ""


@dataclass(frozen=True)
class Cost:
    """What the run cost, not what it models: seconds of wall and CPU time, and commands or events evaluated."""

    simulation_seconds: Amount = 0.0
    simulation_cpu_seconds: Amount = 0.0
    commands_evaluated: Whole = 0


@dataclass(frozen=True)
class Card:
    """What a result says of itself.

    job: what was asked, so that it can be run again; one that was read has the usual limits, which no file raises.
    arch_hash: of the machine's numbers. peaks: rates no schedule passes. causes: words for the stall columns, by name.
    outside: parts that other distributions brought, each with its distribution and version. more: what only this kind
    of machine says. hil: what hardware in the loop said.
    """

    command: tuple[str, ...]
    job: Job
    arch: str
    kind: str
    arch_title: str
    arch_hash: str
    clock_mhz: Clock
    dataflow: str
    exact: Truth
    model: str
    method: str
    pattern: str
    batch: Whole
    sequence: Whole
    mode: str
    capture: Capture
    numbers: Mapping[str, Number]
    peaks: Mapping[str, Amount]
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

    @property
    def again(self) -> str:
        """The command that makes the result again, as a shell takes it; empty where that is none of this program."""
        return _again(self.command)

    def to_json(self) -> dict[str, object]:
        """The card as JSON values; `from_json` makes it again. `assumed` is there for readers of the file."""
        return {**asdict(self), "job": self.job.to_json(), "assumed": self.assumed}

    @classmethod
    def from_json(cls, node: object, place: str = "card.json") -> "Card":
        """The card that `to_json` told of. Raises UserError for another schema, and for what is no card."""
        try:
            found = check_schema(node, place, SCHEMA, "a run card")
            missing = next((each.name for each in fields(cls) if each.name not in found), None)
            if missing:
                raise UserError(f"{place}: {missing}: is missing")
            job = checked(dict[str, object], found["job"], f"{place}: job")
            card = checked(cls, {**found, "job": _job(job, place)}, place)
            check_parts(card.more, card.hil, place)
        except UserError as error:
            again = _again(node.get("command") if isinstance(node, dict) else None)
            raise UserError(f"{error}; make it again: {again}" if again else str(error)) from None
        return card


def _again(command: object) -> str:
    """A command as a shell takes it; empty for what is none of this program: a card may come from anybody."""
    if not isinstance(command, list | tuple) or [*command[:1]] != [PROGRAM]:
        return ""
    return shlex.join(map(str, command))


def _job(node: Mapping[str, object], place: str) -> Job:
    try:
        return Job.from_json(node).within(LIMITS)
    except UserError as error:
        raise UserError(f"{place}: {error}") from None


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
def _versions() -> Mapping[str, str]:
    return {name: version(name) for name in VERSIONS}


def _value(values: Tree, path: str) -> Scalar | None:
    *groups, last = path.split(".")
    for key in groups:
        values = values[key]
    found: Scalar | None = values[last]
    return found
