"""A YAML file as plain values, each field with its line: read event by event, so that its size is known as it grows.

Aliases are written out, and what that costs is counted. Tags other than those of plain values are refused, so that no
file can ask for an object.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.nodes import ScalarNode

from workloads.errors import UserError
from workloads.files.limits import DEPTH, DIGITS, YAML_BYTES, YAML_NODES
from workloads.files.reading import read_text

CORE = "tag:yaml.org,2002:"
PLAIN = {f"{CORE}{name}" for name in ("null", "bool", "int", "float", "str")}
Path_ = tuple[str, ...]


@dataclass(frozen=True)
class Document:
    """The values of a YAML file, and the line of every field of a mapping by its path of keys."""

    values: object
    lines: Mapping[Path_, int]


@dataclass
class _Open:
    """A mapping or a list whose end has not come. Not frozen: it grows."""

    value: Any
    path: Path_
    nodes: int = 1
    key: str | None = None
    anchor: str | None = None


@dataclass
class _Builder:
    """What has been read so far. Not frozen: every event changes it."""

    place: str
    lines: dict[Path_, int] = field(default_factory=dict)
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, tuple[object, int]] = field(default_factory=dict)  # a value, and its nodes written out
    nodes: int = 0
    whole: list[object] = field(default_factory=list)


def read_yaml(path: Path, what: str) -> Document:
    """The values of a YAML file. what: "a sweep is YAML". Raises UserError that says what is wrong, and where."""
    return parse_yaml(read_text(path, what, YAML_BYTES), str(path))


def parse_yaml(text: str, place: str) -> Document:
    """The values of a YAML text. Raises UserError as `read_yaml` does."""
    reader = YAML(typ="safe", pure=True)
    builder = _Builder(place)
    try:
        constructor, parser = reader.get_constructor_parser(text)
        while parser.check_event():
            _take(builder, parser.get_event(), constructor)
    except MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{place}{line}: not YAML: {error.problem}") from None
    except UserError:
        raise
    except YAMLError as error:
        raise UserError(f"{place}: not YAML: {' '.join(str(error).split())}") from None
    except Exception:  # on damaged text, and on %YAML lines, the parser fails in ways of its own
        raise UserError(f"{place}: not YAML that is read here; leave lines that begin with % out") from None
    if len(builder.whole) > 1:
        raise UserError(f"{place}: holds {len(builder.whole)} documents; one is read")
    return Document(builder.whole[0] if builder.whole else None, builder.lines)


def _take(builder: _Builder, event: Event, constructor: Any) -> None:
    match event:
        case MappingStartEvent() | SequenceStartEvent():
            _check_tag(builder, event)
            if len(builder.stack) >= DEPTH:
                raise UserError(f"{_at(builder, event)}: is nested too deeply; {DEPTH} levels are read")
            value: object = {} if isinstance(event, MappingStartEvent) else []
            builder.stack.append(_Open(value, _path_of_next(builder, event), anchor=event.anchor))
            _count(builder, 1, event)
        case MappingEndEvent() | SequenceEndEvent():
            done = builder.stack.pop()
            _place(builder, done.value, done.nodes, done.anchor, event)
        case ScalarEvent():
            _count(builder, 1, event)
            _place(builder, _scalar(builder, event, constructor), 1, event.anchor, event)
        case AliasEvent():
            if event.anchor not in builder.anchors:
                raise UserError(f"{_at(builder, event)}: the alias '*{event.anchor}' stands for nothing that has ended")
            value, nodes = builder.anchors[event.anchor]
            _count(builder, nodes, event)
            _place(builder, value, nodes, None, event)


def _count(builder: _Builder, nodes: int, event: Event) -> None:
    builder.nodes += nodes
    if builder.nodes > YAML_NODES:
        raise UserError(
            f"{_at(builder, event)}: has more than {YAML_NODES:,} values, aliases written out; so many are read"
        )


def _path_of_next(builder: _Builder, event: Event) -> Path_:
    """The path of the value that begins here."""
    if not builder.stack:
        return ()
    outer = builder.stack[-1]
    if isinstance(outer.value, list):
        return (*outer.path, str(len(outer.value)))
    if outer.key is None:
        raise UserError(f"{_at(builder, event)}: the name of a field is a word, this is not")
    return (*outer.path, outer.key)


def _place(builder: _Builder, value: object, nodes: int, anchor: str | None, event: Event) -> None:
    """Put a whole value, or the name of a field, where it belongs."""
    if anchor is not None:
        builder.anchors[anchor] = (value, nodes)
    if not builder.stack:
        builder.whole.append(value)
        return
    outer = builder.stack[-1]
    outer.nodes += nodes
    if isinstance(outer.value, list):
        outer.value.append(value)
    elif outer.key is None:
        _name_field(builder, outer, value, event)
    else:
        outer.value[outer.key] = value
        outer.key = None


def _name_field(builder: _Builder, outer: _Open, value: object, event: Event) -> None:
    if isinstance(value, dict | list):
        raise UserError(f"{_at(builder, event)}: the name of a field is a word, this is not")
    name = event.value if isinstance(event, ScalarEvent) else str(value)
    if name == "<<":
        raise UserError(f"{_at(builder, event)}: merge keys (<<) are not read")
    if name in outer.value:
        raise UserError(f"{_at(builder, event)}: the field '{name}' is there twice")
    outer.key = name
    builder.lines[(*outer.path, name)] = event.start_mark.line + 1


def _scalar(builder: _Builder, event: ScalarEvent, constructor: Any) -> object:
    """The value of a word: a number, a truth, nothing or a text, as YAML 1.2 has it."""
    _check_tag(builder, event)
    tag = str(event.tag) if event.tag is not None and str(event.tag) != "!" else None
    if tag is None and event.style is None:
        tag = str(constructor.resolver.resolve(ScalarNode, event.value, event.implicit))
    if tag not in PLAIN:
        tag = f"{CORE}str"  # a date is a word here
    if tag == f"{CORE}str":
        if any("\ud800" <= letter <= "\udfff" for letter in event.value):
            raise UserError(f"{_at(builder, event)}: holds half a surrogate pair, which is no letter")
        return event.value
    if tag == f"{CORE}int" and len(event.value) > DIGITS:
        raise UserError(f"{_at(builder, event)}: a number of {len(event.value)} digits; {DIGITS} are read")
    kind = tag.removeprefix(CORE)
    try:
        node = ScalarNode(tag, event.value, event.start_mark, event.end_mark)
        found: object = getattr(constructor, f"construct_yaml_{kind}")(node)
        return found
    except (ValueError, KeyError, YAMLError):
        raise UserError(f"{_at(builder, event)}: '{event.value}' is no {kind}") from None


def _check_tag(builder: _Builder, event: MappingStartEvent | SequenceStartEvent | ScalarEvent) -> None:
    tag = "!" if event.tag is None else str(event.tag)
    if tag not in ("!", *PLAIN, f"{CORE}map", f"{CORE}seq"):
        raise UserError(f"{_at(builder, event)}: the tag '{tag.replace(CORE, '!!')}' is not read")


def _at(builder: _Builder, event: Event) -> str:
    return f"{builder.place}:{event.start_mark.line + 1}"
