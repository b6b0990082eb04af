"""What can be chosen about a kernel: `--kernel-option hash=low-bits`."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args, get_type_hints

from workloads.errors import UserError, unknown_name

Hash = Literal["multiplicative", "low-bits", "high-bits"]
Window = Literal["work", "rows"]
Moved = Literal["table", "operands"]
Deal = Literal["rows", "pieces"]
LARGEST = 2**31


@dataclass(frozen=True)
class KernelOptions:
    """hash: of (row, column) to a slot. slots: of the hash table, 0 for as many as fit the scratchpad. fill: share of
    the slots a window's work estimate may take. window: rows until that is reached, or equally many in every window.
    spread: windows a core there are at least, where single rows allow it. deal: what V1 deals to threads, whole rows or
    pieces of them. token: products a thread takes at a time at most (V2, V3). event: products in one event where work
    is dealt beforehand. dma: what V3's engines carry, finished tables, or operands too.
    """

    hash: Hash = "multiplicative"
    slots: int = 0
    fill: float = 0.75
    window: Window = "work"
    spread: int = 4
    deal: Deal = "rows"
    token: int = 256
    event: int = 512
    dma: Moved = "table"


def parse_options(texts: Sequence[str]) -> KernelOptions:
    """Read texts such as `hash=low-bits`. Raises UserError with what is allowed."""
    options = KernelOptions()
    names = [each.name for each in fields(KernelOptions)]
    for text in texts:
        name, equals, value = text.partition("=")
        place = f"--kernel-option {text}"
        if not equals:
            raise UserError(f"{place}: write NAME=VALUE, for example hash=low-bits")
        if name not in names:
            raise unknown_name("option", name, names, place)
        options = replace(options, **{name: _value(place, name, value)})  # type: ignore[arg-type]
    return options


def _value(place: str, name: str, text: str) -> str | int | float:
    kind = get_type_hints(KernelOptions)[name]
    if allowed := get_args(kind):
        if text not in allowed:
            raise unknown_name(name, text, allowed, place)
        return text
    if kind is float:
        return _share(place, text)
    if not text.isdecimal() or not (1 if name != "slots" else 2) <= int(text) < LARGEST:
        raise UserError(f"{place}: '{text}' is not a whole number above {1 if name == 'slots' else 0}")
    if name == "slots" and int(text) & (int(text) - 1):
        raise UserError(f"{place}: {text} is not a power of two; {1 << int(text).bit_length()} is")
    return int(text)


def _share(place: str, text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0
    if not 0 < share <= 1:
        raise UserError(f"{place}: '{text}' is not a number above 0 and at most 1")
    return share
