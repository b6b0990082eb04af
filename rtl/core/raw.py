"""The raw memory: words of four operands, which can be read as they were written, or turned in blocks of four words.

It has four banks of single operands. Operand l of the word at address a lies in bank (l + a) mod 4, at that address, so
that the four operands of a word are in four banks, and so are those of a column of a block: operand j of the words at
addresses 4 t to 4 t + 3. Example: the word of address 5, turned, is column 1 of the words 4, 5, 6 and 7.
"""

import numpy as np
from amaranth import Array, Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from rtl.counting import UNRACED
from rtl.timing import CORE_SIDE

SIDE = CORE_SIDE  # operands of a word, and words of a block
SIDE_BITS = 2


def turned_words(raw: NDArray[np.generic], addresses: NDArray[np.int64]) -> NDArray[np.generic]:
    """(words, SIDE) operands that are read turned. raw: (depth, SIDE), the memory."""
    blocks = addresses // SIDE * SIDE
    return raw[blocks[:, None] + np.arange(SIDE), (addresses % SIDE)[:, None]]


class RawMemory(wiring.Component):
    """write_address, write_data: a word is written in a cycle with `write`. address, turned: what is read; the word is
    on `data` in the next cycle. depth: in words, a multiple of `SIDE`.
    """

    def __init__(self, depth: int, operand_bits: int = 16) -> None:
        self.depth, self.operand_bits = -(-depth // SIDE) * SIDE, operand_bits
        bits = (self.depth - 1).bit_length()
        super().__init__(
            {
                "write": In(1),
                "write_address": In(bits),
                "write_data": In(SIDE * operand_bits),
                "address": In(bits),
                "turned": In(1),
                "data": Out(SIDE * operand_bits),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m, found = Module(), list[Value]()
        here, there = self.address[:SIDE_BITS], self.write_address[:SIDE_BITS]
        given = Array(self.write_data.word_select(lane, self.operand_bits) for lane in range(SIDE))
        for number in range(SIDE):
            memory = Memory(shape=self.operand_bits, depth=self.depth, init=[], attrs=UNRACED)
            m.submodules[f"bank_{number}"] = memory
            write, read = memory.write_port(), memory.read_port()
            lane, low = (Signal(SIDE_BITS, name=f"{name}_{number}") for name in ("lane", "low"))
            m.d.comb += [
                lane.eq(number - there),
                low.eq(Mux(self.turned, number - here, here)),
                write.addr.eq(self.write_address),
                write.data.eq(given[lane]),
                write.en.eq(self.write),
                read.addr.eq(Cat(low, self.address[SIDE_BITS:])),
                read.en.eq(1),
            ]
            found.append(read.data)
        first = Signal(SIDE_BITS)  # the bank of the word's first operand
        m.d.sync += first.eq(here)
        banks = Array(found)
        for lane in range(SIDE):
            at = Signal(SIDE_BITS, name=f"from_{lane}")
            m.d.comb += [at.eq(first + lane), self.data.word_select(lane, self.operand_bits).eq(banks[at])]
        return m
