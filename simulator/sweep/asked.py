"""What a sweep is asked for, read from a YAML file or from the command line."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import PlainValidator
from pydantic_core import PydanticCustomError

from simulator.sweep.spec import AXES, SweepSpec
from workloads.errors import UserError, unknown_name
from workloads.files.limits import DIGITS, LIMITS, SWEEP_VALUES, Limits
from workloads.files.reading import checked
from workloads.files.yaml import read_yaml

KEYS = (*AXES, "set", "tie", "where", "points")
RANGE = re.compile(r"(-?[0-9]+)\.\.(-?[0-9]+):([0-9]+)")


def from_grid(texts: Sequence[str], ties: Sequence[str], where: Sequence[str], limits: Limits = LIMITS) -> SweepSpec:
    """A spec from `--grid AXIS=A,B,C` (or A..B:STEP) and `--tie FIELD=EXPRESSION`. Raises UserError for a bad one."""
    grid: dict[str, tuple[str, ...]] = {}
    for text in texts:
        axis, values = _split(text, "--grid", "array.rows=8,16,32")
        if axis in grid:
            raise UserError(f"--grid {text}: {axis} is given twice; give all its values at once")
        grid[axis] = _values(values)
    tied = dict(_split(tie, "--tie", "dram.capacity_gib=16*dram.channels") for tie in ties)
    return SweepSpec(grid, tied, tuple(where), limits=limits)


def read_spec(path: Path) -> SweepSpec:
    """A spec from a YAML file. Raises UserError that names the file, the line and what is wrong in it."""
    document = read_yaml(path, "a sweep is YAML")
    if not isinstance(document.values, dict):
        raise UserError(f"{path}: a sweep is a mapping with some of {', '.join(KEYS)}")
    for key in document.values:
        if key not in KEYS:
            raise unknown_name("key", key, KEYS, f"{path}:{document.lines[(key,)]}")
    given = {key: value for key, value in document.values.items() if key in AXES or value is not None}
    found = checked(_File, given, str(path), lines=document.lines)
    axes = {axis: values for axis, values in asdict(found).items() if axis in AXES and values}
    return SweepSpec({**axes, **found.set}, found.tie, found.where, tuple(found.points))


def _word(value: object) -> str:
    if isinstance(value, dict | list):
        raise PydanticCustomError("sweep", "give one value: a number, a text, true, false or null")
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str) and RANGE.fullmatch(value):
        try:
            return _values(value)
        except UserError as error:
            raise PydanticCustomError("sweep", "{said}", {"said": str(error)}) from None
    listed = value if isinstance(value, list) else [value]
    if not listed or any(isinstance(each, dict | list) for each in listed):
        raise PydanticCustomError("sweep", "give a value or a list of values")
    return tuple(_word(each) for each in listed)


Word = Annotated[str, PlainValidator(_word)]
Words = Annotated[tuple[str, ...], PlainValidator(_words)]


@dataclass(frozen=True)
class _File:
    """What a file of a sweep may hold; `read_spec` has looked at the names."""

    arch: Words = ()
    model: Words = ()
    matrix: Words = ()
    pattern: Words = ()
    method: Words = ()
    batch: Words = ()
    sequence: Words = ()
    mode: Words = ()
    dataflow: Words = ()
    kernel: Words = ()
    set: Mapping[str, Words] = field(default_factory=dict)
    tie: Mapping[str, Word] = field(default_factory=dict)
    where: Words = ()
    points: list[Mapping[str, Word]] = field(default_factory=list)


def _split(text: str, option: str, example: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise UserError(f"{option} {text}: write for example {option} {example}")
    return name.strip(), value.strip()


def _values(text: str) -> tuple[str, ...]:
    """The values of A,B,C or LOW..HIGH:STEP, which are counted before they are made."""
    if steps := RANGE.fullmatch(text):
        if max(map(len, steps.groups())) > DIGITS:
            raise UserError(f"'{text[:20]}...': a range with a number of more than {DIGITS} digits")
        low, high, step = map(int, steps.groups())
        if step < 1 or high < low:
            raise UserError(f"'{text}': a range is LOW..HIGH:STEP, such as 8..64:8")
        count = (high - low) // step + 1
        if count > SWEEP_VALUES:
            raise UserError(f"'{text}': a range of {count:,} values; an axis has {SWEEP_VALUES:,} at most")
        return tuple(map(str, range(low, high + 1, step)))
    found = tuple(value.strip() for value in text.split(",") if value.strip())
    if not found:
        raise UserError(f"'{text}': holds no value")
    return found
