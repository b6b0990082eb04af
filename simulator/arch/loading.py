"""Reading a machine file: YAML 1.2, a provenance on every number, errors with file and line."""

import difflib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from os.path import realpath
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from workloads.errors import UserError, unknown_name
from workloads.files.limits import YAML_BYTES
from workloads.files.reading import read_text
from workloads.files.yaml import parse_yaml
from workloads.provenance import Origin, Provenance
from workloads.registry import MACHINES, load_entry, names

Spec = TypeVar("Spec")
Tree = dict[str, Any]  # values by key, nested: what a file holds is known once it is validated
LEAF = {"value", "provenance", "source", "low", "high"}


@dataclass(frozen=True)
class Sheet:
    """A machine file as read: plain values by nested key, and the origin and line of each by dotted path.

    `bases` are the files it extends, the nearest first. `root` is what a variant is a variant of: the registered
    machine that its files extend or its settings change; None for no variant. `bare` are sentences about numbers
    without a provenance: they wait until the names of fields have been looked at, since a misspelt field is the
    likelier mistake.
    """

    path: Path
    values: Tree
    origins: Mapping[str, Origin]
    lines: Mapping[str, str]
    bases: tuple[Path, ...] = ()
    bare: tuple[str, ...] = ()
    root: "Sheet | None" = None

    def at(self, path: str) -> object:
        """The value or the section at a dotted path; None where there is none."""
        return _at(self.values, path)

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits over every value and its range: two sheets of one digest give one result."""
        told = json.dumps([self.values, sorted((path, repr(each)) for path, each in self.origins.items())], default=str)
        return sha256(told.encode()).hexdigest()[:16]

    def description(self) -> str:
        """The sheet as the text of a machine file of its own, in JSON, which is YAML too."""
        return json.dumps({key: self._described(key, value) for key, value in self.values.items()})

    def _described(self, path: str, value: object) -> object:
        if isinstance(value, dict):
            return {key: self._described(f"{path}.{key}", inner) for key, inner in value.items()}
        origin = self.origins.get(path)
        if origin is None:
            return value
        ends = {"low": origin.low, "high": origin.high} if origin.low is not None or origin.high is not None else {}
        return {"value": value, "provenance": origin.provenance.value, "source": origin.source, **ends}


def read_sheet(path: Path, above: tuple[str, ...] = ()) -> Sheet:
    """Read a machine file and the file it `extends`. `above` are the files that extend this one.

    Raises UserError for what is wrong, with file and line.
    """
    text = read_text(path, "a machine is described in YAML", YAML_BYTES)
    return parse_sheet(path, text, (*above, realpath(path)))


def parse_sheet(path: Path, text: str, chain: tuple[str, ...] = ()) -> Sheet:
    """A machine file's text. `path` is what it is called in messages, and where a file that it extends lies beside.

    `chain` are the files that extend it, and its own where the text is that of a file. Raises UserError as `read_sheet`
    does.
    """
    sheet = _own(path, text)
    return _extended(sheet, chain) if "extends" in sheet.values else sheet


@lru_cache(maxsize=16)
def _own(path: Path, text: str) -> Sheet:
    """What a file itself says. A process that runs many steps of a machine takes its file apart once."""
    reader = _Reader(path, text)
    return Sheet(path, reader.values, reader.origins, reader.lines, bare=tuple(reader.bare))


def with_settings(sheet: Sheet, settings: Sequence[str]) -> Sheet:
    """A sheet with `--set` texts on top. Raises UserError for an unknown field and for what is no single value."""
    for setting in settings:
        sheet = _with_setting(sheet, setting)
    return sheet


def _extended(sheet: Sheet, chain: tuple[str, ...]) -> Sheet:
    """A sheet on top of the one it extends."""
    name, place = sheet.values["extends"], sheet.lines["extends"]
    if not isinstance(name, str):
        raise UserError(f"{place}: extends: give the name or the path of a machine file")
    base_path = _beside(sheet.path, name)
    if (whole := realpath(base_path)) in chain:
        raise UserError(f"{place}: extends: {' -> '.join(Path(each).name for each in (*chain, whole))} never ends")
    base = read_sheet(base_path, chain)
    own = {key: value for key, value in sheet.values.items() if key != "extends"}
    leaves = [path for path in sheet.lines if not isinstance(_at(own, path), dict)]  # a section may have become null
    kept = {
        path: each for path, each in base.origins.items() if not any(path.startswith(f"{leaf}.") for leaf in leaves)
    }
    merged = _merged(base.values, own)
    return Sheet(
        path=sheet.path,
        values=merged,
        origins={**kept, **sheet.origins},
        lines={**base.lines, **sheet.lines},
        bases=(base_path, *base.bases),
        bare=(*sheet.bare, *base.bare),
        root=base.root if base.root and (sheet.path.parent / name).exists() else base,
    )


def _at(values: Tree, path: str) -> object:
    node: object = values
    for key in path.split("."):
        node = node.get(key) if isinstance(node, dict) else None
    return node


def build(sheet: Sheet, spec: type[Spec]) -> Spec:
    """The validated description. Raises UserError for an unknown, missing or impossible field."""
    try:
        built: Spec = _adapter(spec).validate_python(sheet.values)  # type: ignore[arg-type]  # mypy: a type is hashable
    except ValidationError as error:
        raise _field_error(sheet, spec, error) from None
    return built


@lru_cache(maxsize=64)
def _adapter(spec: Any) -> TypeAdapter[Any]:
    """How a description is validated: making that takes 10 milliseconds, and a sweep builds thousands of machines."""
    return TypeAdapter(spec)


class _Reader:
    """One file, walked: splits every `{value, provenance, source}` into the value and its origin."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.origins: dict[str, Origin] = {}
        self.lines: dict[str, str] = {}
        self.bare: list[str] = []
        found = parse_yaml(text, str(path))
        if not isinstance(found.values, dict):
            raise UserError(f"{path}: a machine file is a mapping of fields, this is not")
        self._numbers = found.lines
        self.values = {key: self._walk((key,), value) for key, value in found.values.items()}

    def _walk(self, keys: tuple[str, ...], node: object) -> object:
        path = ".".join(keys)
        self.lines[path] = f"{self.path.name}:{self._numbers[keys]}" if keys in self._numbers else self.path.name
        if "." in keys[-1]:
            raise UserError(f"{self.lines[path]}: '{keys[-1]}': nest the fields of a group, without dots in names")
        if isinstance(node, dict):
            if "value" in node:
                return self._leaf(path, node)
            return {name: self._walk((*keys, name), inner) for name, inner in node.items()}
        if isinstance(node, int | float):
            what, said = ("switch", str(node).lower()) if isinstance(node, bool) else ("number", str(node))
            self.bare.append(
                f"{self.lines[path]}: {path}: a {what} needs its provenance; write "
                f"{{value: {said}, provenance: assumed, source: why}}"
            )
        return node

    def _leaf(self, path: str, node: Tree) -> object:
        place = f"{self.lines[path]}: {path}"
        for name in node:
            if name not in LEAF:
                raise UserError(f"{place}: unknown key '{name}'{_near(str(name), LEAF)}")
        words = [word.value for word in Provenance]
        if node.get("provenance") not in words:
            given = node.get("provenance")
            raise UserError(f"{place}: provenance '{given}' is none of {', '.join(words)}{_near(str(given), words)}")
        if not str(node.get("source") or "").strip():
            raise UserError(f"{place}: a number needs its source, or the reason it was assumed")
        low, high = (_end(node, name, place) for name in ("low", "high"))
        if low is not None and high is not None and low > high:
            raise UserError(f"{place}: low {low} is above high {high}")
        self.origins[path] = Origin(Provenance(node["provenance"]), str(node["source"]), low, high)
        return _finite(node["value"], place)


def _end(node: Tree, name: str, place: str) -> int | float | None:
    """An end of a number's range; None where it has none."""
    end = _finite(node.get(name), place)
    if end is None or (isinstance(end, int | float) and not isinstance(end, bool)):
        return end
    raise UserError(f"{place}: {name}: {end!r} is no number")


def _finite(value: object, place: str) -> object:
    """A value as it is. Raises UserError for infinity and for what is no number, which no field can mean."""
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{place}: {value} is no finite number")
    return value


def _beside(path: Path, name: str) -> Path:
    """The file a machine extends: a path beside it, or the file of a registered machine."""
    near = path.parent / name
    if near.exists():
        return near
    if name not in names(MACHINES):
        raise unknown_name("machine file", name, names(MACHINES), f"{path.name}: extends")
    sheet: Path = load_entry(MACHINES, "machine file", name).sheet
    return sheet


def _merged(base: Tree, own: Tree) -> Tree:
    merged = dict(base)
    for key, value in own.items():
        inner = merged.get(key)
        both = isinstance(inner, dict) and isinstance(value, dict)
        merged[key] = _merged(inner, value) if both else value  # type: ignore[arg-type]
    return merged


def _with_setting(sheet: Sheet, setting: str) -> Sheet:
    path, equals, text = setting.partition("=")
    path = path.strip()
    place = f"--set {setting}"
    if not equals or not text.strip():
        raise UserError(f"{place}: write FIELD=VALUE, for example array.rows=64")
    values = _merged(sheet.values, {})
    node, keys = values, path.split(".")
    for depth, key in enumerate(keys):
        if key not in node:
            known = [".".join([*keys[:depth], name]) for name in node]
            near = _elsewhere(sheet, path) or _near(path, known)
            raise UserError(f"{place}: unknown field '{path}'{near} (known here: {', '.join(known)})")
        if depth < len(keys) - 1:
            if not isinstance(node[key], dict):
                raise UserError(f"{place}: '{'.'.join(keys[: depth + 1])}' has no fields inside")
            node[key] = dict(node[key])
            node = node[key]
    if isinstance(node[keys[-1]], dict) and text.strip() != "null":
        raise UserError(f"{place}: '{path}' is a group of fields: {', '.join(node[keys[-1]])}; set one of them")
    node[keys[-1]] = _scalar(text, place)
    origin = sheet.origins.get(path, Origin(Provenance.SET, ""))
    changed = replace(origin, provenance=Provenance.SET, source="set for this run")
    origins = {key: value for key, value in sheet.origins.items() if not key.startswith(f"{path}.")}
    lines = {**sheet.lines, path: "--set"}
    return replace(sheet, values=values, origins={**origins, path: changed}, lines=lines, root=sheet.root or sheet)


def _elsewhere(sheet: Sheet, path: str) -> str:
    """A hint where a field of that last name lies in another group: `rows` is array.rows."""
    last = path.rpartition(".")[2]
    found = [known for known in sheet.lines if known.rpartition(".")[2] == last and not known.startswith("energy.")]
    return f"; did you mean {' or '.join(repr(each) for each in found)}?" if found else ""


@lru_cache(maxsize=4096)
def _loaded(text: str) -> object:
    try:
        return parse_yaml(text, "--set").values
    except UserError:
        return text


def _scalar(text: str, place: str) -> object:
    value = _loaded(text)
    if isinstance(value, dict | list):
        raise UserError(f"{place}: '{text}' is not a single value")
    return _finite(value, place)


def _field_error(sheet: Sheet, spec: type, error: ValidationError) -> UserError:
    first = error.errors()[0]
    missing = first["type"] in ("missing", "missing_argument")
    names = {part for path in sheet.lines for part in path.split(".")}  # pydantic's own path parts are none of them
    names |= {str(first["loc"][-1])} if missing else set()
    keys = [str(part) for part in first["loc"] if str(part) in names]
    path = ".".join(keys)
    place = sheet.lines.get(path, sheet.lines.get(path.rpartition(".")[0], sheet.path.name))
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        siblings = _fields(spec, keys[:-1])
        return UserError(f"{place}: {path}: unknown field{_near(keys[-1], siblings)} (known: {', '.join(siblings)})")
    if missing:
        return UserError(f"{place}: {path}: this field is missing")
    given = first.get("input")
    return UserError(f"{place}: {path}: {given!r} is not allowed: {first['msg'][0].lower()}{first['msg'][1:]}")


def _fields(spec: Any, keys: Sequence[str]) -> list[str]:
    """Names of the fields of the (nested) description at `keys`; keys of a mapping are no fields."""
    for key in keys:
        if key not in spec.__dataclass_fields__:
            continue
        inner = spec.__dataclass_fields__[key].type
        spec = next(part for part in getattr(inner, "__args__", (inner,)) if hasattr(part, "__dataclass_fields__"))
    return list(spec.__dataclass_fields__)


def _near(given: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(given, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
