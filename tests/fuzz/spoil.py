"""Ways to spoil what is good: bytes, texts, and trees of values. Choices are Hypothesis's."""

import copy
import json
import re
from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.kinds import Draw

NUMBERS: tuple[Any, ...] = (
    0, -1, 1, 2, 3, 7, 1.5, -0.0, 0.1, 1e-300, 1e300, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64,
    10**12, 10**39, 10**41, 5000, float("inf"), float("nan"), int("9" * 320),
)  # fmt: skip
TEXTS = (
    "", " ", "x", "null", "true", "-", "--", "-1", "0x10", "1e5", "1_000", "nan", "inf", "١٢", "é", "ß" * 40, "𝔘",
    "日本",
    "a\u202eb", "a\u200bb", "\ufeff", "e\u0301", "\x1b[2J\x1b[31mred", "\x07", "\x00", "a\x00b", "\r\n", "a\nb", "\t",
    "\x85",
    "\u2028", "\ud800", "\udcff", "../../x", "/dev/zero", "/dev/null", "/", "~", "$HOME", "%s%n", "{0}", "'", '"', "\\",
    ":", "2:8", "*", "[", "]", "[" * 200, "(" * 300, "a" * 600, "b" * 70_000, "a.b.c", "=", "a=b", "<script>", "#",
    "!!x", "&a",
    "*a", "@", "`", "|", ">", "%", "?", ",", ";", "2026-01-01", "1:2:3", ".inf", "0b1", "0o7", "yes", "no", "on",
)  # fmt: skip
DIGITS = re.compile(rb"[0-9]+(?:\.[0-9]+)?")


def one_of_these(values: Sequence[Any]) -> st.SearchStrategy[Any]:
    """One of many or long values, which a strategy would otherwise write out in its own description."""
    return st.sampled_from(range(len(values))).map(lambda at: values[at])


def mostly(draw: Draw, usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any], one_in: int = 5) -> Any:
    """Something usual, and once in a while something odd."""
    return draw(odd if draw(st.integers(1, one_in)) == one_in else usual)


def odd_numbers() -> st.SearchStrategy[Any]:
    """Numbers, most of them such that nobody has meant them."""
    return st.one_of(one_of_these(NUMBERS), st.integers(-3, 300), st.integers(), st.floats())


def odd_texts() -> st.SearchStrategy[str]:
    """Texts, most of them such that nobody has meant them."""
    return st.one_of(one_of_these(TEXTS), st.text(max_size=12))


def odd_values() -> st.SearchStrategy[Any]:
    """Values as JSON has them."""
    plain = st.one_of(st.none(), st.booleans(), odd_numbers(), odd_texts())
    few = st.one_of(
        st.lists(plain, max_size=3), st.dictionaries(odd_texts(), plain, max_size=3), st.just([]), st.just({})
    )
    return st.one_of(plain, few)


def words(values: st.SearchStrategy[Any] | None = None) -> st.SearchStrategy[str]:
    """Texts that can stand on a command line: no zero byte, nothing that no file system writes."""
    return (st.one_of(odd_texts(), odd_numbers()) if values is None else values).map(as_word)


def as_word(value: object) -> str:
    """A value as a word on a command line."""
    text = str(value).replace("\0", "")
    return "".join(letter for letter in text if not "\ud800" <= letter < "\udc80")


def spoiled(draw: Draw, content: bytes, most: int = 3) -> bytes:
    """Bytes with one to `most` things wrong, or none."""
    luck = Random(draw(st.integers(0, 2**60)))
    for _ in range(draw(st.integers(0, most))):
        content = draw(st.sampled_from(BYTE_WAYS))(draw, luck, content)
    return content


def _flipped(draw: Draw, luck: Random, content: bytes) -> bytes:
    changed = bytearray(content or b"x")
    for _ in range(draw(st.integers(1, 4))):
        changed[luck.randrange(len(changed))] ^= 1 << luck.randrange(8)
    return bytes(changed)


def _cut(draw: Draw, luck: Random, content: bytes) -> bytes:
    at = luck.randrange(len(content) + 1)
    return draw(st.sampled_from([content[:at], content[at:]]))


def _without(draw: Draw, luck: Random, content: bytes) -> bytes:
    at = luck.randrange(len(content) + 1)
    return content[:at] + content[at + draw(st.integers(1, 40)) :]


def _doubled(draw: Draw, luck: Random, content: bytes) -> bytes:
    if draw(st.booleans()):
        return content * draw(st.sampled_from([2, 3, 50])) if len(content) < 20_000 else content + content
    lines = content.split(b"\n")
    at = luck.randrange(len(lines))
    return b"\n".join([*lines[: at + 1], *lines[at:]])


def _inserted(draw: Draw, luck: Random, content: bytes) -> bytes:
    at = luck.randrange(len(content) + 1)
    odd = draw(st.one_of(odd_texts().map(lambda text: text.encode("utf-8", "surrogatepass")), st.binary(max_size=8)))
    return content[:at] + odd + content[at:]


def _renumbered(draw: Draw, luck: Random, content: bytes) -> bytes:
    """One of its numbers is another one."""
    found = list(DIGITS.finditer(content))
    if not found:
        return content
    here = luck.choice(found)
    return content[: here.start()] + str(draw(odd_numbers())).encode() + content[here.end() :]


def _shuffled(draw: Draw, luck: Random, content: bytes) -> bytes:
    del draw
    lines = content.split(b"\n")
    luck.shuffle(lines)
    return b"\n".join(lines)


def _long_line(draw: Draw, luck: Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    at = luck.randrange(len(lines))
    lines[at] += draw(st.sampled_from([b",", b" ", b"[", b"0", b"\xff", b"a: "])) * draw(st.sampled_from([30, 5_000]))
    return b"\n".join(lines)


BYTE_WAYS = (_flipped, _cut, _without, _doubled, _inserted, _renumbered, _renumbered, _shuffled, _long_line)


def spoiled_node(draw: Draw, node: Any, most: int = 2) -> Any:
    """A tree of values with one to `most` things wrong, or none."""
    node = copy.deepcopy(node)
    for _ in range(draw(st.integers(0, most))):
        places = list(_places(node))
        if not places:
            return draw(odd_values())
        holder, key = places[draw(st.integers(0, len(places) - 1))]
        _spoil_at(draw, holder, key)
    return node


def _places(node: Any) -> list[tuple[Any, Any]]:
    """Every value that stands in another one, by what holds it and where; the outer ones first."""
    found: list[tuple[Any, Any]] = []
    level = [node] if isinstance(node, dict | list) else []
    while level and len(found) < 2_000:
        here = [
            (each, key)
            for each in level
            for key in (each if isinstance(each, dict) else range(len(each)))
        ]  # fmt: skip
        found += here
        level = [holder[key] for holder, key in here if isinstance(holder[key], dict | list)]
    return found


def _spoil_at(draw: Draw, holder: Any, key: Any) -> None:
    match draw(st.sampled_from(["value", "value", "number", "number", "gone", "more", "nested", "twice", "deep"])):
        case "value":
            holder[key] = draw(odd_values())
        case "number":
            holder[key] = draw(odd_numbers())
        case "gone":
            del holder[key]
        case "more" if isinstance(holder, dict):
            holder[draw(odd_texts())] = draw(odd_values())
        case "more":
            holder.insert(key, draw(odd_values()))
        case "nested":
            holder[key] = draw(st.sampled_from([[holder[key]], {"x": holder[key]}]))
        case "twice" if isinstance(holder, list):
            holder.extend(holder[:50])
        case "deep":
            holder[key] = nested(draw(st.sampled_from([20, 70])))


def nested(depth: int) -> Any:
    """Lists in lists."""
    node: Any = []
    for _ in range(depth):
        node = [node]
    return node


def as_json(draw: Draw, node: Any) -> bytes:
    """A tree as a JSON file, seldom with its bytes spoiled as well."""
    text = json.dumps(node, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
    content = text.encode("utf-8", "surrogatepass")
    return spoiled(draw, content) if draw(st.integers(0, 3)) == 0 else content
