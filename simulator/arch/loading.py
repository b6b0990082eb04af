"""Reading a machine file: YAML 1.2, a provenance on every number, errors with file and line."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from workloads.errors import UserError, unknown_name
from workloads.provenance import Origin, Provenance

Spec = TypeVar("Spec")
LEAF = {"value", "provenance", "source", "low", "high"}


@dataclass(frozen=True)
class Sheet:
    """A machine file as read: plain values by nested key, and the origin and line of each by dotted path."""

    path: Path
    values: Mapping[str, Any]
    origins: Mapping[str, Origin]
    lines: Mapping[str, str]


def read_sheet(path: Path, settings: Sequence[str] = (), above: tuple[Path, ...] = ()) -> Sheet:
    """Read a machine file, the file it `extends`, and `--set` texts such as `array.rows=64` on top.

    `above` are the files that extend this one.

    Raises UserError for what is wrong, with file and line.
    """
    reader = _Reader(path)
    sheet = Sheet(path, reader.values, reader.origins, reader.lines)
    if "extends" in sheet.values:
        sheet = _extended(sheet, (*above, path.resolve()))
    return with_settings(sheet, settings)


def with_settings(sheet: Sheet, settings: Sequence[str]) -> Sheet:
    """A sheet with `--set` texts on top. Raises UserError for an unknown field and for what is no single value."""
    for setting in settings:
        sheet = _with_setting(sheet, setting)
    return sheet


def _extended(sheet: Sheet, chain: tuple[Path, ...]) -> Sheet:
    """A sheet on top of the one it extends."""
    name, place = sheet.values["extends"], sheet.lines["extends"]
    if not isinstance(name, str):
        raise UserError(f"{place}: extends: give the name or the path of a machine file")
    base_path = _beside(sheet.path, name)
    if base_path.resolve() in chain:
        raise UserError(f"{place}: extends: {' -> '.join(path.name for path in (*chain, base_path))} never ends")
    base = read_sheet(base_path, (), chain)
    own = {key: value for key, value in sheet.values.items() if key != "extends"}
    leaves = [path for path in sheet.lines if not isinstance(_at(own, path), dict)]  # a section may have become null
    kept = {
        path: each for path, each in base.origins.items() if not any(path.startswith(f"{leaf}.") for leaf in leaves)
    }
    merged = _merged(base.values, own)
    return Sheet(sheet.path, merged, {**kept, **sheet.origins}, {**base.lines, **sheet.lines})


def _at(values: Mapping[str, Any], path: str) -> Any:
    node: Any = values
    for key in path.split("."):
        node = node.get(key) if isinstance(node, dict) else None
    return node


def build(sheet: Sheet, spec: type[Spec]) -> Spec:
    """The validated description. Raises UserError for an unknown, missing or impossible field."""
    try:
        return TypeAdapter(spec).validate_python(sheet.values)
    except ValidationError as error:
        raise _field_error(sheet, spec, error) from None


class _Reader:
    """One file, walked: splits every `{value, provenance, source}` into the value and its origin."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.origins: dict[str, Origin] = {}
        self.lines: dict[str, str] = {}
        if path.exists() and not path.is_file():
            raise UserError(f"{path}: is not a file")
        try:
            tree = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise UserError(f"{path}: is not a text file; a machine is described in YAML") from None
        except (RecursionError, ValueError):
            raise UserError(f"{path}: is nested too deeply, or holds a number too long to read") from None
        except MarkedYAMLError as error:
            line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
            raise UserError(f"{path}{line}: not YAML: {error.problem}") from None
        if not isinstance(tree, dict):
            raise UserError(f"{path}: a machine file is a mapping of fields, this is not")
        self.values = {str(key): self._walk(tree, str(key), key, value) for key, value in tree.items()}

    def _walk(self, parent: Any, path: str, key: Any, node: Any) -> Any:
        try:
            self.lines[path] = f"{self.path.name}:{parent.lc.key(key)[0] + 1}"
        except (AttributeError, KeyError, TypeError):  # a merged key has no line of its own
            raise UserError(f"{self.path}: {path}: merge keys (<<) are not supported; use 'extends'") from None
        if "." in str(key):
            raise UserError(f"{self.lines[path]}: '{key}': nest the fields of a group, without dots in names")
        if isinstance(node, dict):
            if "value" in node:
                return self._leaf(path, node)
            return {str(name): self._walk(node, f"{path}.{name}", name, inner) for name, inner in node.items()}
        if isinstance(node, int | float):
            what, said = ("switch", str(node).lower()) if isinstance(node, bool) else ("number", str(node))
            raise UserError(
                f"{self.lines[path]}: {path}: a {what} needs its provenance; write "
                f"{{value: {said}, provenance: assumed, source: why}}"
            )
        return node

    def _leaf(self, path: str, node: Mapping[str, Any]) -> Any:
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
        self.origins[path] = Origin(
            Provenance(node["provenance"]), str(node["source"]), node.get("low"), node.get("high")
        )
        return node["value"]


def _beside(path: Path, name: str) -> Path:
    """The file a machine extends: a path beside it, or the name of a machine that ships."""
    near, shipped = path.parent / name, shipped_sheets()
    if near.exists():
        return near
    if name not in shipped:
        raise unknown_name("machine file", name, shipped, f"{path.name}: extends")
    return shipped[name]


def shipped_sheets() -> dict[str, Path]:
    """The machine files that come with the program, by name."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.yaml"))}


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
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
            raise UserError(f"{place}: unknown field '{path}'{_near(path, known)} (known here: {', '.join(known)})")
        if depth < len(keys) - 1:
            if not isinstance(node[key], dict):
                raise UserError(f"{place}: '{'.'.join(keys[: depth + 1])}' has no fields inside")
            node[key] = dict(node[key])
            node = node[key]
    if isinstance(node[keys[-1]], dict) and text.strip() != "null":
        raise UserError(f"{place}: '{path}' is a group of fields: {', '.join(node[keys[-1]])}; set one of them")
    node[keys[-1]] = _scalar(text, place)
    origin = sheet.origins.get(path, Origin(Provenance.ASSUMED, ""))
    changed = replace(origin, provenance=Provenance.ASSUMED, source="set on the command line")
    origins = {key: value for key, value in sheet.origins.items() if not key.startswith(f"{path}.")}
    return replace(sheet, values=values, origins={**origins, path: changed}, lines={**sheet.lines, path: "--set"})


@lru_cache(maxsize=4096)
def _loaded(text: str) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError):
        return text


def _scalar(text: str, place: str) -> Any:
    value = _loaded(text)
    if isinstance(value, dict | list):
        raise UserError(f"{place}: '{text}' is not a single value")
    return value


def _field_error(sheet: Sheet, spec: type, error: ValidationError) -> UserError:
    first = error.errors()[0]
    keys = [str(part) for part in first["loc"] if str(part) in _all_names(sheet, first)]
    path = ".".join(keys)
    place = sheet.lines.get(path, sheet.lines.get(path.rpartition(".")[0], sheet.path.name))
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        siblings = _fields(spec, keys[:-1])
        return UserError(f"{place}: {path}: unknown field{_near(keys[-1], siblings)} (known: {', '.join(siblings)})")
    if first["type"] in ("missing", "missing_argument"):
        return UserError(f"{place}: {path}: this field is missing")
    given = first.get("input")
    return UserError(f"{place}: {path}: {given!r} is not allowed: {first['msg'][0].lower()}{first['msg'][1:]}")


def _all_names(sheet: Sheet, first: Any) -> set[str]:
    """Keys of the file, so that pydantic's own path parts (names of union members) can be told from them."""
    names = {part for path in sheet.lines for part in path.split(".")}
    return names | ({str(first["loc"][-1])} if first["type"] in ("missing", "missing_argument") else set())


def _fields(spec: Any, keys: Sequence[str]) -> list[str]:
    """Names of the fields of the (nested) description at `keys`; keys of a mapping are no fields."""
    for key in keys:
        if key not in spec.__dataclass_fields__:
            continue
        inner = spec.__dataclass_fields__[key].type
        spec = next(part for part in getattr(inner, "__args__", (inner,)) if hasattr(part, "__dataclass_fields__"))
    return list(spec.__dataclass_fields__)


def _near(given: str, known: Any) -> str:
    near = difflib.get_close_matches(given, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
