"""C++ of every kind of cell: statements over words of 32 bits, each of one copy or of as many as a vector has lanes.

There is no branch, so that all lanes do the same. A word's bits above its signal are zero.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from rtl.fast.reading import Bit, Bits, Cell

WORD = 32


def words_of(bits: Bits) -> int:
    """Words that some bits take."""
    return -(-len(bits) // WORD)


@dataclass
class Writer:
    """Statements, and where every bit is that has been worked out: in which word, at which place."""

    lines: list[str] = field(default_factory=list)
    where: dict[Bit, tuple[str, int]] = field(default_factory=dict)
    names: int = 0

    def new(self) -> int:
        """The number of a new name."""
        self.names += 1
        return self.names

    def say(self, line: str) -> None:
        self.lines.append(line)

    def define(self, bits: Bits, values: list[str]) -> None:
        """Variables that hold the bits, one a word."""
        for number, value in enumerate(values):
            name = f"v{self.new()}"
            self.say(f"const W {name} = {value};")
            self.place(bits, number, name)

    def place(self, bits: Bits, number: int, expression: str) -> None:
        """Word `number` of the bits is this expression."""
        for at, bit in enumerate(bits[number * WORD : (number + 1) * WORD]):
            if isinstance(bit, int):
                self.where.setdefault(bit, (expression, at))

    def word(self, bits: Bits, number: int = 0) -> str:
        """An expression for word `number` of the bits, zeros above them; bits that lie together stay so."""
        part, parts, constant, at = bits[number * WORD : (number + 1) * WORD], list[str](), 0, 0
        while at < len(part):
            bit, length = part[at], 1
            if not isinstance(bit, int):
                constant |= (bit == "1") << at
            else:
                name, place = self.where[bit]
                while at + length < len(part) and self.where.get(part[at + length]) == (name, place + length):
                    length += 1
                parts.append(_moved(name, place, length, at))
            at += length
        if constant:
            parts.append(f"(W{{}} + {constant:#x}u)")
        return " | ".join(parts) or "W{}"

    def words(self, bits: Bits, width: int, signed: bool = False) -> list[str]:
        """Expressions for the words of a value of `width` bits, extended or cut."""
        extended = [*bits[:width], *[bits[-1] if signed else "0"] * (width - len(bits))]
        return [f"({self.word(extended, number)})" for number in range(words_of(extended))]

    def operands(self, cell: Cell, width: int) -> list[list[str]]:
        return [self.words(cell.ports[port], width, cell.number(f"{port}_SIGNED") == 1) for port in "AB"]


def _moved(name: str, place: int, length: int, at: int) -> str:
    """`length` bits of a word from `place`, moved to `at`."""
    text = f"({name} >> {place})" if place else name
    text = f"({text} & {(1 << length) - 1:#x}u)" if place + length < WORD else text
    return f"({text} << {at})" if at else text


def masked(values: list[str], width: int) -> list[str]:
    """The words of a value with nothing above its width."""
    rest = width % WORD
    return [*values[:-1], f"({values[-1]}) & {(1 << rest) - 1:#x}u"] if rest else values


Say = Callable[[Writer, Cell], list[str]]


def _bitwise(symbol: str) -> Say:
    def say(writer: Writer, cell: Cell) -> list[str]:
        width = len(cell.ports["Y"])
        pairs = zip(*writer.operands(cell, width), strict=True)
        return masked([f"{a} {symbol} {b}" for a, b in pairs], width)

    return say


def _not(writer: Writer, cell: Cell) -> list[str]:
    width = len(cell.ports["Y"])
    values = writer.words(cell.ports["A"], width, cell.number("A_SIGNED") == 1)
    return masked([f"~{value}" for value in values], width)


def _sum(minus: bool) -> Say:
    def say(writer: Writer, cell: Cell) -> list[str]:
        width = len(cell.ports["Y"])
        left, right = writer.operands(cell, width)
        right = [f"~{b}" for b in right] if minus else right
        out, carry = list[str](), f"(W{{}} + {int(minus)}u)"
        for number, (a, b) in enumerate(zip(left, right, strict=True)):
            n = writer.new()
            writer.say(f"const W a{n} = {a}, h{n} = a{n} + {b}, s{n} = h{n} + {carry};")
            if number + 1 < len(left):
                writer.say(f"const W c{n} = one(h{n} < a{n}) | one(s{n} < h{n});")
            out.append(f"s{n}")
            carry = f"c{n}"
        return masked(out, width)

    return say


def _product(writer: Writer, cell: Cell) -> list[str]:
    width = len(cell.ports["Y"])
    assert width <= WORD, "products are of one word"
    (a,), (b,) = writer.operands(cell, WORD)
    return masked([f"{a} * {b}"], width)


def _mux(writer: Writer, cell: Cell) -> list[str]:
    n, width = writer.new(), len(cell.ports["Y"])
    writer.say(f"const W m{n} = -({writer.word(cell.ports['S'])});")
    pairs = zip(writer.words(cell.ports["A"], width), writer.words(cell.ports["B"], width), strict=True)
    return [f"{a} ^ (({a} ^ {b}) & m{n})" for a, b in pairs]


def _parallel_mux(writer: Writer, cell: Cell) -> list[str]:
    """The part of B whose bit of S is set, A where none is: at most one of them is."""
    n, width = writer.new(), len(cell.ports["Y"])
    choices = list[list[str]]()
    for number, bit in enumerate(cell.ports["S"]):
        writer.say(f"const W m{n}_{number} = -({writer.word([bit])});")
        part = cell.ports["B"][number * width : (number + 1) * width]
        choices.append([f"({value} & m{n}_{number})" for value in writer.words(part, width)])
    some = " | ".join(f"m{n}_{number}" for number in range(len(choices)))
    choices.append([f"({value} & ~({some}))" for value in writer.words(cell.ports["A"], width)])
    return [" | ".join(each) for each in zip(*choices, strict=True)]


def _compare(symbol: str) -> Say:
    def say(writer: Writer, cell: Cell) -> list[str]:
        width = max(len(cell.ports["A"]), len(cell.ports["B"]))
        left, right = writer.operands(cell, width)
        if symbol in ("==", "!="):
            differs = " | ".join(f"({a} ^ {b})" for a, b in zip(left, right, strict=True))
            return [f"one(({differs}) {symbol} 0u)"]
        if cell.number("A_SIGNED") and cell.number("B_SIGNED"):  # both moved by half of the range
            top = f"{1 << (width - 1) % WORD:#x}u"
            left[-1], right[-1] = (
                f"(({left[-1]} ^ {top}) & {_ones(width)})",
                f"(({right[-1]} ^ {top}) & {_ones(width)})",
            )
        out = f"one({left[0]} {symbol} {right[0]})"
        for a, b in zip(left[1:], right[1:], strict=True):
            out = f"(one({a} {symbol[0]} {b}) | (one({a} == {b}) & {out}))"
        return [out]

    return say


def _ones(width: int) -> str:
    return f"{(1 << ((width - 1) % WORD + 1)) - 1:#x}u"


def _all(writer: Writer, cell: Cell) -> list[str]:
    bits = cell.ports["A"]
    full = [_ones(min(WORD, len(bits) - WORD * number)) for number in range(words_of(bits))]
    values = writer.words(bits, len(bits))
    return [" & ".join(f"one({value} == {ones})" for value, ones in zip(values, full, strict=True))]


def _any(symbol: str) -> Say:
    def say(writer: Writer, cell: Cell) -> list[str]:
        return [f"one(({' | '.join(writer.words(cell.ports['A'], len(cell.ports['A'])))}) {symbol} 0u)"]

    return say


def _logic(symbol: str) -> Say:
    def say(writer: Writer, cell: Cell) -> list[str]:
        left, right = (" | ".join(writer.words(cell.ports[port], len(cell.ports[port]))) for port in "AB")
        return [f"one(({left}) != 0u) {symbol} one(({right}) != 0u)"]

    return say


def _shift(writer: Writer, cell: Cell) -> list[str]:
    """To the right, zeros from above."""
    assert cell.number("B_SIGNED") == 0 and len(cell.ports["B"]) <= WORD, "shifts go to the right"
    n, width, values = writer.new(), len(cell.ports["Y"]), writer.words(cell.ports["A"], len(cell.ports["A"]))
    by = writer.word(cell.ports["B"])
    writer.say(f"const W b{n} = {by}, w{n} = b{n} >> 5, i{n} = b{n} & 31u;")
    for number, value in enumerate(values):
        writer.say(f"const W a{n}_{number} = {value};")

    def moved(first: int) -> str:
        chosen = (f"(a{n}_{k} & same(w{n}, {k - first}u))" for k in range(max(0, first), len(values)))
        return " | ".join(chosen) or "W{}"

    parts = range(words_of(cell.ports["Y"]))
    return masked([f"(({moved(k)}) >> i{n}) | ((({moved(k + 1)}) << 1) << (31u - i{n}))" for k in parts], width)


CELLS: dict[str, Say] = {
    **{"$and": _bitwise("&"), "$or": _bitwise("|"), "$xor": _bitwise("^"), "$not": _not},
    **{"$add": _sum(False), "$sub": _sum(True), "$mul": _product, "$mux": _mux, "$pmux": _parallel_mux},
    **{f"${name}": _compare(symbol) for name, symbol in (("eq", "=="), ("ne", "!="), ("lt", "<"), ("le", "<="))},
    **{"$gt": _compare(">"), "$ge": _compare(">="), "$shift": _shift, "$shiftx": _shift, "$shr": _shift},
    **{"$reduce_and": _all, "$reduce_or": _any("!="), "$reduce_bool": _any("!="), "$logic_not": _any("==")},
    **{"$logic_and": _logic("&"), "$logic_or": _logic("|")},
}
