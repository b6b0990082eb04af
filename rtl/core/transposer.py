"""The transposer: blocks of `side` lines of `side` operands leave turned, one word in and one word out every cycle.

A single square of registers serves all blocks. It moves on in every cycle, by rows or by columns; when a block is whole
it moves the other way from then on, so that a block's columns leave at the one end while the next block's lines come in
as columns at the other.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from amaranth import Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from numpy.typing import NDArray

from rtl.core.engine import WORD_BITS, engine_ports, operands
from rtl.core.walk import Walker, WalkShape
from rtl.timing import CORE_TURNED
from workloads.errors import UserError


def turned_latency(side: int) -> int:
    """Cycles from a command's last one until its last write is on the port."""
    return side + CORE_TURNED


def turning_layout(raw_bits: int) -> StructLayout:
    """A command: where in the raw memory its words begin, and how many there are."""
    return StructLayout({"raw": raw_bits, "beats": raw_bits + 1})


@final
@dataclass(frozen=True)
class Turning:
    """A command: `beats` raw words from address `raw` on, whole blocks of them."""

    raw: int
    beats: int

    @property
    def ticks(self) -> int:
        """Cycles in which it works."""
        return self.beats

    def bits(self, side: int, raw_bits: int) -> int:
        """As hardware takes it. Raises UserError for what is no row of whole blocks in the raw memory."""
        if self.beats < 1 or self.beats % side:
            raise UserError(f"core: {self.beats} words are no whole blocks of {side}")
        if self.raw < 0 or self.raw + self.beats > 1 << raw_bits:
            raise UserError(f"core: {self.beats} words from {self.raw} on are beyond a raw memory of {1 << raw_bits}")
        return int(turning_layout(raw_bits).const({"raw": self.raw, "beats": self.beats}).as_bits())


def turned(words: NDArray[np.uint64], side: int, form_bits: int = 16) -> NDArray[np.uint64]:
    """The words that leave for those that come in, as many of them."""
    shifts = (np.arange(side) * form_bits).astype(np.uint64)
    lines = words[:, None] >> shifts & np.uint64((1 << form_bits) - 1)
    columns = lines.reshape(-1, side, side).transpose(0, 2, 1).reshape(-1, side)
    words_out: NDArray[np.uint64] = np.bitwise_or.reduce(columns << shifts, axis=1)
    return words_out


class Transposer(wiring.Component):
    """side: lines of a block, and operands of a line, which are the lowest ones of a word. Ports: see `engine_ports`.

    `write` carries a word as `data`. Word i of a block is operand i of all its lines, that of the first line lowest;
    what is left of a word is zero. The walker's first place must be there `side` + 1 cycles after `go`.
    """

    def __init__(self, side: int, shape: WalkShape, raw_bits: int, form_bits: int = 16) -> None:
        self.side, self.shape, self.raw_bits, self.form_bits = side, shape, raw_bits, form_bits
        super().__init__(engine_ports(turning_layout(raw_bits), raw_bits, shape, {"data": WORD_BITS}))

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.walker = walker = Walker(self.shape)
        wiring.connect(m, wiring.flipped(self.walks), walker.walks)
        word, leaves = self._turn(m, self._read(m))
        place = walker.places.payload
        m.d.comb += walker.places.ready.eq(leaves)
        m.d.sync += [
            self.write.enable.eq(leaves),
            self.write.address.eq(place.address),
            self.write.bank.eq(place.bank),
            self.write.data.eq(word),
            self.filled.eq(leaves & place.last),
        ]
        return m

    def _read(self, m: Module) -> Value:
        """Ask for a word in each cycle of a command; returns whether a word has come."""
        address, left, comes = Signal(self.raw_bits), Signal(self.raw_bits + 1), Signal()
        m.d.comb += [
            self.raw_address.eq(Mux(self.go, self.command.raw, address)),
            self.ends.eq(Mux(self.go, self.command.beats == 1, left == 1)),
        ]
        m.d.sync += [address.eq(self.raw_address + 1), comes.eq(self.go | (left != 0))]
        with m.If(self.go):
            m.d.sync += left.eq(self.command.beats - 1)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        return comes

    def _turn(self, m: Module, comes: Value) -> tuple[Value, Value]:
        """Move the square on; returns the word that stands at its end, and whether it belongs to a block."""
        last = self.side - 1
        square = [
            [Signal(self.form_bits, name=f"cell_{row}_{column}", reset_less=True) for column in range(self.side)]
            for row in range(self.side)
        ]
        line = operands(self.raw_data, self.form_bits)
        by_columns, number, left = Signal(), Signal(range(self.side)), Signal(range(self.side + 1))
        for row in range(self.side):
            for column in range(self.side):
                by_row = square[row + 1][column] if row < last else line[column]
                by_column = square[row][column + 1] if column < last else line[row]
                m.d.sync += square[row][column].eq(Mux(by_columns, by_column, by_row))
        with m.If(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.If(comes):
            m.d.sync += number.eq(number + 1)
            with m.If(number == last):
                m.d.sync += [number.eq(0), by_columns.eq(~by_columns), left.eq(self.side)]
        return Mux(by_columns, Cat(row[0] for row in square), Cat(square[0])), left != 0
