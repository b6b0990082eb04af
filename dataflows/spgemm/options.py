"""What can be chosen about a product on a fabric: its kernel, and what the kernel leaves open."""

from dataclasses import dataclass, field, fields
from typing import Literal, get_args, get_type_hints

from simulator.compiler import registered
from workloads.errors import UserError, unknown_name
from workloads.registry import KERNELS

Hash = Literal["multiplicative", "low-bits", "high-bits"]
Window = Literal["work", "rows"]
Moved = Literal["table", "operands"]
Deal = Literal["rows", "pieces"]
LARGEST = 2**31
USUAL = "smash-v3"


@dataclass(frozen=True)
class FabricOptions:
    """kernel: how the fabric multiplies. hash: of (row, column) to a slot. slots: of the hash table, 0 for as many as
    fit the scratchpad. fill: share of the slots a window's work estimate may take. window: rows until that is reached,
    or equally many in every window. spread: windows a core there are at least, where single rows allow it. deal: what
    V1 deals to threads, whole rows or pieces of them. token: products a thread takes at a time at most (V2, V3).
    event: products in one event where work is dealt beforehand. dma: what V3's engines carry, finished tables, or
    operands too. trace: keep every event of every thread, for pictures of small runs.

    Texts are read as numbers. Raises UserError for values that cannot be.
    """

    kernel: str = field(default=USUAL, metadata=registered(KERNELS))
    hash: Hash = "multiplicative"
    slots: int = 0
    fill: float = 0.75
    window: Window = "work"
    spread: int = 4
    deal: Deal = "rows"
    token: int = 256
    event: int = 512
    dma: Moved = "table"
    trace: bool = False

    def __post_init__(self) -> None:
        defaults = {each.name: each.default for each in fields(self)}
        for name, kind in get_type_hints(FabricOptions).items():
            value = getattr(self, name)
            if name not in ("kernel", "trace") and value != defaults[name]:
                object.__setattr__(self, name, _read(name, kind, str(value)))  # once, before anybody sees it

    def told(self) -> dict[str, object]:
        """What the kernel was left open, as a run card keeps it."""
        return {name: value for name, value in vars(self).items() if name not in ("kernel", "trace")}


def _read(name: str, kind: object, text: str) -> str | int | float:
    place = f"--option {name}={text}"
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
