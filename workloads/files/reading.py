"""Reading a file of ours: its size is bounded, its text decoded, its JSON parsed, its fields held against a type.

Every function takes the name that the file has in sentences, and raises UserError for whatever is wrong with it.
"""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from hashlib import file_digest
from io import SEEK_END, BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from workloads.errors import UserError
from workloads.files.limits import CARD_BYTES, DEPTH, DIGITS, JSON_VALUES, SAMPLES_BYTES

if TYPE_CHECKING:
    from _typeshed import SupportsRead

Kind = TypeVar("Kind")
Lines = Mapping[tuple[str, ...], int]
MIB = 1024 * 1024


def read_bytes(path: Path, most: int = CARD_BYTES, raises: str = "") -> bytes:
    """The content of a regular file.

    most: bytes that are read; raises: the name of the limit that a user can raise, where there is one. Raises UserError
    for what is missing, a folder, a device, a pipe, and for a larger file.
    """
    with opened(path) as file:
        content = read_most(file, most)
    if len(content) > most:
        hint = f"; --limit {raises}=N raises that" if raises else ""
        raise UserError(f"{path}: has more than {_size(most)}, which is the most that is read{hint}")
    return content


def read_most(file: "SupportsRead[bytes]", most: int) -> bytes:
    """What a file still has, and one byte more than `most` where it has more than that.

    Read piece by piece: Python makes room for all that is asked for, however little there is.
    """
    pieces, left = [], most + 1
    while left and (piece := file.read(min(left, MIB))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def digest_of(path: Path, most: int = SAMPLES_BYTES) -> str:
    """The SHA-256 of a file's content, in hexadecimal, read piece by piece. Raises UserError for a larger file."""
    with opened(path) as file:
        if (size := file.seek(0, SEEK_END)) > most:
            raise UserError(f"{path}: has {size:,} bytes, and at most {most:,} are read")
        file.seek(0)
        return file_digest(file, "sha256").hexdigest()


@contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """A regular file, open to be read piece by piece. Raises UserError as `read_bytes` does, also inside the block."""
    try:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would wait for its writer
        except ValueError as error:  # a NUL in a path
            raise UserError(f"{str(path)!a}: cannot be read: {error}") from None
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise UserError(f"{path}: is {'a folder' if stat.S_ISDIR(mode) else 'not a regular file'}")
            yield file
    except OSError as error:
        said = "is a folder" if isinstance(error, IsADirectoryError) else f"cannot be read: {error.strerror or error}"
        raise UserError(f"{path}: {said}") from None


def read_text(path: Path, what: str, most: int = CARD_BYTES, raises: str = "") -> str:
    """The text of a file. what: what it should be, "a workload is JSON". Raises UserError as `read_bytes` does."""
    try:
        return read_bytes(path, most, raises).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not a text file; {what}") from None


def parse_json(text: str, place: str, what: str = "this is not JSON") -> object:
    """The values of a JSON text. Raises UserError for what is none, is nested too deeply, or holds an odd number."""
    if text.count(",") + text.count("[") + text.count("{") > JSON_VALUES:  # or so many of those in words
        raise UserError(f"{place}: holds more than {JSON_VALUES:,} values, which is the most that is read")
    try:
        node: object = json.loads(text, parse_int=_whole, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise UserError(f"{place}:{error.lineno}: {what}: {error.msg}") from None
    except RecursionError:
        raise UserError(f"{place}: is nested too deeply; {DEPTH} levels are read") from None
    except ValueError as error:
        raise UserError(f"{place}: {error}") from None
    _check_depth(node, place)
    if "\\u" in text or not text.isascii():
        _check_letters(node, place)
    return node


def read_json(path: Path, what: str, most: int = CARD_BYTES, raises: str = "") -> object:
    """The values of a JSON file. what: "a workload is JSON". Raises UserError as `read_text` and `parse_json` do."""
    return parse_json(read_text(path, what, most, raises), str(path), what)


def checked(
    kind: type[Kind], node: object, place: str, prefix: str = "", lines: Lines | None = None, strict: bool = False
) -> Kind:
    """Values as the type they should have.

    prefix: the field that all of it is the value of. lines: of a YAML file, where each field stands. strict: a text is
    no number then, nor is a truth, which only a person would mean. Raises UserError that names the first field that is
    wrong.
    """
    adapter = _adapter(kind)  # type: ignore[arg-type]
    try:
        found: Kind = adapter.validate_json(json.dumps(node), strict=True) if strict else adapter.validate_python(node)
        return found
    except ValidationError as error:
        raise field_error(f"{place}{_line_of(error, lines or {})}", error, prefix) from None
    except (RecursionError, OverflowError) as error:
        raise UserError(f"{place}: cannot be read: {error}") from None


def check_schema(
    node: object, place: str, wanted: int, what: str, key: str = "schema", older: tuple[int, ...] = ()
) -> dict[str, Any]:
    """A mapping that says which version of its format it has, one of `older` included.

    Raises UserError for another version, and for none.
    """
    if not isinstance(node, dict):
        raise UserError(f"{place}: {what} is a mapping, this is not")
    found = node.get(key)
    if isinstance(found, bool) or not isinstance(found, int):
        said = "is missing" if key not in node else f"{found!r} is no whole number"
        raise UserError(f"{place}: {key}: {said}; {what} says which version of its format it has, such as {wanted}")
    if found not in (wanted, *older):
        raise UserError(f"{place}: {key}: this has version {found}, and this program reads {wanted}")
    return node


def field_error(place: str, error: ValidationError, prefix: str = "") -> UserError:
    """The sentence for the first thing that pydantic found wrong."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in (prefix, *first["loc"]) if part != "")
    said = first["msg"][:1].lower() + first["msg"][1:]
    return UserError(f"{place}: {field}: {said}" if field else f"{place}: {said}")


def _line_of(error: ValidationError, lines: Lines) -> str:
    """The line of the first thing that is wrong, or of what it stands in."""
    path = tuple(str(part) for part in error.errors(include_url=False)[0]["loc"])
    known = (lines[path[:length]] for length in range(len(path), 0, -1) if path[:length] in lines)
    return "".join(f":{line}" for line in list(known)[:1])


def _whole(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f"holds a number of {len(text)} digits; {DIGITS} are read")
    return int(text)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A mapping. Raises ValueError for a name that it has twice: readers differ in which of the two they take."""
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"holds the field '{name}' twice")
        found[name] = value
    return found


def _check_depth(node: object, place: str) -> None:
    level = [node]
    for _ in range(DEPTH):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise UserError(f"{place}: is nested too deeply; {DEPTH} levels are read")


def _check_letters(node: object, place: str) -> None:
    """Raises UserError for half a surrogate pair, which no file and no terminal takes."""
    try:
        json.dumps(node, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(f"{place}: holds half a surrogate pair, which is no letter") from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _size(count: int) -> str:
    return f"{count // MIB} MiB" if count >= MIB else f"{count // 1024} KiB"
