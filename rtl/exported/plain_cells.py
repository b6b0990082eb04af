"""Verilog of every kind of cell, as an expression that is exactly as wide as what is kept of its output."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Protocol

from rtl.fast.reading import Bit, Bits, Cell


class Values(Protocol):
    """Who knows the wires: an expression that is exactly as wide as some bits."""

    def value(self, bits: Bits) -> str: ...


REGISTER = "$dff"
BY_BIT = ("$and", "$or", "$xor", "$not", "$mux", "$pmux", REGISTER)  # of which any bits can be left away
RIPPLED = ("$add", "$sub", "$mul", "$neg")  # the uppermost ones
Say = Callable[[Values, Cell, Sequence[int]], str]


def extended(cell: Cell, port: str, width: int) -> list[Bit]:
    """The bits of an input, extended as it is signed or not, or cut."""
    bits = cell.ports[port]
    above = bits[-1] if cell.number(f"{port}_SIGNED") else "0"
    return [*bits[:width], *[above] * (width - len(bits))]


def read_for(cell: Cell, places: Sequence[int]) -> list[Bit]:
    """The bits of its inputs that a cell reads for some places of its output."""
    if settled(cell) is not None:
        return []
    if cell.kind in RIPPLED:
        return [bit for port in "AB" if port in cell.ports for bit in extended(cell, port, max(places) + 1)]
    if cell.kind not in BY_BIT:
        return [bit for port, bits in cell.ports.items() if port not in "YQ" for bit in bits]
    found = [*cell.ports.get("S", []), *cell.ports.get("CLK", [])]
    width = len(cell.ports["Q" if cell.kind == REGISTER else "Y"])
    for port in "ABD":
        bits = cell.ports.get(port, [])
        if bits and cell.kind in ("$and", "$or", "$xor", "$not"):
            bits = extended(cell, port, width)
        found += [bits[start + at] for start in range(0, len(bits), width) for at in places]
    return found


def settled(cell: Cell) -> str | None:
    """The bit that a comparison always gives, because of what a bound is; none for any other."""
    if cell.kind not in ("$lt", "$le", "$gt", "$ge") or (cell.number("A_SIGNED") and cell.number("B_SIGNED")):
        return None
    bound, least, most = set(cell.ports["B"]), {"$ge": "1", "$lt": "0"}, {"$le": "1", "$gt": "0"}
    if bound == {"0"}:
        return least.get(cell.kind)
    whole = bound == {"1"} and len(cell.ports["B"]) >= len(cell.ports["A"])
    return most.get(cell.kind) if whole else None


def _kept(of: Values, cell: Cell, port: str, kept: Sequence[int]) -> str:
    bits = extended(cell, port, len(cell.ports["Y"]))
    return of.value([bits[at] for at in kept])


def _bitwise(symbol: str) -> Say:
    return lambda of, cell, kept: f"{_kept(of, cell, 'A', kept)} {symbol} {_kept(of, cell, 'B', kept)}"


def _unary(symbol: str) -> Say:
    return lambda of, cell, kept: f"{symbol}{_kept(of, cell, 'A', kept)}"


def _mux(of: Values, cell: Cell, kept: Sequence[int]) -> str:
    one, other = (of.value([cell.ports[port][at] for at in kept]) for port in "BA")
    return f"{of.value(cell.ports['S'])} ? {one} : {other}"


def _parallel_mux(of: Values, cell: Cell, kept: Sequence[int]) -> str:
    """The part of B whose bit of S is set, A where none is: at most one of them is."""
    width, text = len(cell.ports["Y"]), ""
    for number, bit in enumerate(cell.ports["S"]):
        part = [cell.ports["B"][number * width + at] for at in kept]
        text += f"{of.value([bit])} ? {of.value(part)} :\n      "
    return text + of.value([cell.ports["A"][at] for at in kept])


def _one(said: str, kept: Sequence[int]) -> str:
    """A bit, with zeros above it where there is room."""
    return said if len(kept) == 1 else f"{{{len(kept) - 1}'h0, {said}}}"


def _compare(symbol: str) -> Say:
    def say(of: Values, cell: Cell, kept: Sequence[int]) -> str:
        if always := settled(cell):
            return f"{len(kept)}'h{always}"
        width = max(len(cell.ports["A"]), len(cell.ports["B"]))
        signed = cell.number("A_SIGNED") and cell.number("B_SIGNED") and symbol not in ("==", "!=")
        pair = (of.value(extended(cell, port, width)) for port in "AB")
        left, right = (f"$signed({each})" if signed else each for each in pair)
        return _one(f"({left} {symbol} {right})", kept)

    return say


def _reduced(symbol: str) -> Say:
    return lambda of, cell, kept: _one(f"({symbol}{of.value(cell.ports['A'])})", kept)


def _logic(symbol: str) -> Say:
    def say(of: Values, cell: Cell, kept: Sequence[int]) -> str:
        left, right = (of.value(cell.ports[port]) for port in "AB")
        return _one(f"((|{left}) {symbol} (|{right}))", kept)

    return say


def _shift(symbol: str) -> Say:
    """What is shifted is as wide as its output (`widened`)."""

    def say(of: Values, cell: Cell, kept: Sequence[int]) -> str:
        assert not cell.number("B_SIGNED"), "shifts go one way"
        return f"{of.value(extended(cell, 'A', len(kept)))} {symbol} {of.value(cell.ports['B'])}"

    return say


def widened(cell: Cell, fresh: Iterator[Bit]) -> Cell:
    """A shift to the right with an output as wide as what is shifted: bits come down to those that are wanted."""
    more = len(cell.ports["A"]) - len(cell.ports["Y"]) if cell.kind in TO_THE_RIGHT else 0
    return replace(cell, ports={**cell.ports, "Y": [*cell.ports["Y"], *islice(fresh, more)]}) if more > 0 else cell


TO_THE_RIGHT = ("$shr", "$shift", "$shiftx")
CELLS: dict[str, Say] = {
    **{"$and": _bitwise("&"), "$or": _bitwise("|"), "$xor": _bitwise("^"), "$not": _unary("~"), "$neg": _unary("-")},
    **{"$add": _bitwise("+"), "$sub": _bitwise("-"), "$mul": _bitwise("*"), "$mux": _mux, "$pmux": _parallel_mux},
    **{f"${name}": _compare(symbol) for name, symbol in (("eq", "=="), ("ne", "!="), ("lt", "<"), ("le", "<="))},
    **{"$gt": _compare(">"), "$ge": _compare(">="), "$reduce_and": _reduced("&"), "$reduce_or": _reduced("|")},
    **{"$reduce_bool": _reduced("|"), "$reduce_xor": _reduced("^"), "$logic_not": _reduced("~|")},
    **{
        "$logic_and": _logic("&"),
        "$logic_or": _logic("|"),
        "$shl": _shift("<<"),
        **dict.fromkeys(TO_THE_RIGHT, _shift(">>")),
    },
}
