"""What is asked: a machine, work, a method with patterns, and the choices of the machine's compiler."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

from pydantic import TypeAdapter, ValidationError

from workloads.errors import UserError
from workloads.files.limits import LARGEST_LIMIT, LIMITS, Limits
from workloads.work import Work, safe_name

BUCKET_DIGITS = 3  # hexadecimal: at most 4096 files a sweep
CLOSED = {"extra": "forbid"}
Value = bool | int | float | str  # of an option


def is_file_name(name: str) -> bool:
    """Whether a machine is named by its file."""
    return name.endswith((".yaml", ".yml")) or "/" in name


@dataclass(frozen=True)
class Source:
    """The machine a job stands on: a registered name or a file, with the digest of its content, or the content itself.

    digest: as `simulator.arch.loading.Sheet` has it, so that a changed file is noticed; empty where nobody looked.
    """

    name: str
    digest: str = ""
    content: str = ""

    @property
    def is_file(self) -> bool:
        """Whether it is a file of the user's."""
        return not self.content and is_file_name(self.name)

    __pydantic_config__: ClassVar[dict[str, str]] = CLOSED


@dataclass(frozen=True)
class Job:
    """What is asked, in words as on the command line: that line, a run card, a sweep's point are each one of these.

    patterns: texts such as "2:8" and "layer4.*=1:8"; None for those the work has. settings: numbers of the machine,
    "array.rows=64". options: choices of the machine's compiler, by name. dense: whether the best dense schedule of the
    same step is wanted beside it.

    >>> job = Job(Source("sat"), Work(model="resnet18"), ("2:8",))
    >>> " ".join(job.command_line())
    'simulate --arch sat --pattern 2:8 --model resnet18'
    >>> Job.from_json(job.to_json()) == job
    True
    """

    machine: Source
    work: Work
    patterns: tuple[str, ...] | None = None
    method: str = "bdwp"
    settings: tuple[str, ...] = ()
    options: tuple[tuple[str, Value], ...] = ()
    exact: bool = False
    dense: bool = True

    __pydantic_config__: ClassVar[dict[str, str]] = CLOSED

    @property
    def name(self) -> str:
        """A name for the result's folder: sat-resnet18-2_8."""
        return safe_name(Path(self.machine.name).stem, self.work.name, *(self.patterns or ()))

    def describe(self) -> str:
        """The job in a line."""
        work = {name: getattr(self.work, name) for name in ("batch", "sequence")}
        more = [f"{name}={value}" for name, value in (*work.items(), *self.options) if value is not None]
        return " ".join([self.machine.name, self.work.name, ",".join(self.patterns or ()), *more, *self.settings])

    def command_line(self) -> tuple[str, ...]:
        """The command that asks the same; what was made in Python stands there by its name alone."""
        work, flags = self.work, (("--input-gradient", self.work.input_gradient), ("--exact", self.exact))
        named = {
            "--arch": (self.machine.name,),
            "--pattern": self.patterns or (),
            "--method": (self.method,) if self.method != Job.method else (),
            "--model": _given(work.model),
            "--workload": _given(work.workload),
            "--topology": _given(work.topology),
            "--onnx": _given(work.onnx),
            "--gemm": work.gemms,
            "--matrix": work.matrices,
            "--batch": _given(work.batch),
            "--sequence": _given(work.sequence),
            "--mode": (work.mode,) if work.mode != Work.mode else (),
            "--optimizer": _given(work.optimizer),
            "--set": self.settings,
            "--option": tuple(f"{name}={value}" for name, value in self.options),
            "--limit": tuple(f"{name}={value}" for name, value in work.limits.raised().items()),
        }
        words = [word for option, values in named.items() for value in values for word in (option, value)]
        return ("simulate", *words, *(flag for flag, given in flags if given))

    def to_json(self) -> dict[str, object]:
        """The job as JSON values; `from_json` makes it again."""
        work = self.work.told()
        raised = self.work.limits.raised()
        if raised:
            work["limits"] = raised
        return {**vars(self), "machine": {**vars(self.machine)}, "work": work, "options": dict(self.options)}

    @classmethod
    def from_json(cls, node: Mapping[str, object]) -> "Job":
        """The job that `to_json` told of. Raises UserError for anything else."""
        options = node.get("options")
        pairs = list(options.items()) if isinstance(options, Mapping) else options
        try:
            found = _reader().validate_python({**node, "options": pairs})
        except ValidationError as error:
            first = error.errors()[0]
            raise UserError(f"job.{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from None
        for name, most in vars(found.work.limits).items():
            if not 1 <= most <= LARGEST_LIMIT:
                raise UserError(f"job.work.limits.{name}: {most} is no whole number from 1 to {LARGEST_LIMIT}")
        return found

    def within(self, limits: Limits) -> "Job":
        """The same job under other limits, which change no result."""
        return replace(self, work=replace(self.work, limits=limits))

    def key(self, version: str) -> str:
        """The hash of the job and of the models' version; limits change no result, so they are not in it."""
        return _hash({"version": version, **self.within(LIMITS).to_json()})

    def bucket(self, version: str) -> str:
        """The jobs of one bucket are run together and kept in one file: those that differ in their pattern alone."""
        return replace(self, patterns=None, method="").key(version)[:BUCKET_DIGITS]


def _given(value: str | int | None) -> tuple[str, ...]:
    return () if value is None else (str(value),)


@cache
def _reader() -> TypeAdapter[Job]:
    return TypeAdapter(Job)


def _hash(node: Mapping[str, object]) -> str:
    return sha256(json.dumps(node, sort_keys=True).encode()).hexdigest()[:24]


def option_pairs(given: Mapping[str, Value | None]) -> tuple[tuple[str, Value], ...]:
    """Options as a job keeps them, those of None left out."""
    return tuple((name, value) for name, value in given.items() if value is not None)


def split_options(texts: Sequence[str], beside: Mapping[str, Value | None]) -> tuple[tuple[str, Value], ...]:
    """Choices from the command line, each NAME=VALUE, with those that have options of their own (None: not given).

    Raises UserError for anything else, and for a choice that is given twice.
    """
    found = dict(option_pairs(beside))
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise UserError(f"--option {text}: write NAME=VALUE, for example hash=low-bits")
        if name.strip() in found:
            raise UserError(f"--option {text}: {name.strip()} is given already, as {found[name.strip()]}")
        found[name.strip()] = value.strip()
    return option_pairs(found)
