"""The west edge of a row: the memory of its operands, the groups made of them, and what it is told in turn."""

from amaranth import Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from rtl.control import FETCH, Op, pe_control, row_token
from rtl.counting import later
from rtl.memories import Waiting
from rtl.parameters import Parameters

WRITTEN = 2  # cycles from a fetch to the cycle in which the word is written into its group


def clockwork(p: Parameters) -> data.StructLayout:
    """Where a row's delay writes and reads, so that it hears what the one above heard `skew` + 1 cycles ago.

    direct: the two are a cycle apart, and the delay's memory is passed by. stale: what would be read is from before the
    skew changed, and was heard already.
    """
    return data.StructLayout({"write": p.delay_bits, "read": p.delay_bits, "direct": 1, "stale": 1})


def row_side(p: Parameters) -> data.StructLayout:
    """What goes from row to row: tokens and fetches by their skew, a row to store weights a cycle later."""
    store = data.StructLayout({"valid": 1, "row": p.row_bits, "slot": p.slot_bits})
    parts = {"token": row_token(p), "when": clockwork(p), "fetch": FETCH, "fetch_when": clockwork(p)}
    return data.StructLayout({**parts, "store": store, "clear": 1})


class Clockwork(wiring.Component):
    """The clockwork of the first row; every other one hears it a cycle after the row above."""

    def __init__(self, parameters: Parameters) -> None:
        self.bits = bits = parameters.delay_bits
        super().__init__({"skew": In(bits), "clear": In(1), "when": Out(clockwork(parameters))})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        now, age, skew = Signal(self.bits), Signal(self.bits), Signal(self.bits)
        changes = self.skew != skew
        m.d.sync += [now.eq(now + 1), skew.eq(self.skew), age.eq(Mux(changes | self.clear, 0, age + ~age.all()))]
        m.d.comb += [
            self.when.write.eq(now),
            self.when.read.eq(now - self.skew),
            self.when.direct.eq(self.skew == 0),
            self.when.stale.eq(changes | (age + 1 < self.skew)),
        ]
        return m


class RowEdge(wiring.Component):
    """words: `west_link` operands each, the first in the lowest bits. enough: all words before `wanted` have come.

    above: what the row is told. below: what the next row is. shift, slot: all rows let an accumulator go south. group,
    control: for the row's first PE, two cycles after the token.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        super().__init__(
            {
                "words": In(stream.Signature(p.west_link * p.operand.bits)),
                "wanted": In(p.pointer_bits(p.row_depth)),
                "enough": Out(1),
                "above": In(row_side(p)),
                "below": Out(row_side(p)),
                "shift": In(1),
                "slot": In(p.slot_bits),
                "group": Out(p.group_bits),
                "control": Out(pe_control(p)),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        self._pass_on(m)
        self._groups(m, self._words(m))
        return m

    def _pass_on(self, m: Module) -> None:
        above, below = self.above, Signal(row_side(self.parameters), reset_less=True)
        m.d.sync += [
            below.eq(above),
            below.store.row.eq(above.store.row - 1),
            below.token.eq(self._delayed(m, "token", above.token.as_value(), above.when)),
            below.fetch.eq(self._delayed(m, "fetch", above.fetch.as_value(), above.fetch_when)),
        ]
        with m.If(above.clear):
            m.d.sync += [below.token.eq(0), below.fetch.eq(0), below.store.valid.eq(0)]
        m.d.comb += self.below.eq(below)

    def _delayed(self, m: Module, name: str, value: Value, when: data.View) -> Value:
        """What was said `skew` cycles ago."""
        memory = Memory(shape=len(value), depth=1 << self.parameters.delay_bits, init=[])
        m.submodules[f"{name}_delay"] = memory
        write, read = memory.write_port(), memory.read_port(domain="comb")
        m.d.comb += [write.addr.eq(when.write), write.data.eq(value), write.en.eq(1), read.addr.eq(when.read)]
        return Mux(when.direct, value, Mux(when.stale, 0, read.data))

    def _words(self, m: Module) -> Value:
        """The words' memory; returns what was fetched, a cycle before it is written into its group."""
        m.submodules.words = words = Waiting(len(self.words.payload), self.parameters.row_depth)
        wiring.connect(m, wiring.flipped(self.words), words.i)
        m.d.comb += [
            words.take.eq(self.above.fetch.valid),
            words.wanted.eq(self.wanted),
            words.clear.eq(self.above.clear),
            self.enough.eq(words.enough),
        ]
        return later(m, words.o, WRITTEN - 1, "word")

    def _groups(self, m: Module, word: Value) -> None:
        """Groups as they are put together, a part a word, and as they are used."""
        p, above, told = self.parameters, self.above, Signal(row_token(self.parameters), reset_less=True)
        fetch = later(m, Cat(above.fetch.valid, above.fetch.ends), WRITTEN, "fetch")
        entry = Signal(p.entry_bits, reset_less=True)
        part = Signal(range(max(2, p.group_words)), reset_less=True)
        m.d.sync += told.eq(above.token)
        with m.If(self.shift):
            m.d.sync += [told.control.op.eq(Op.SHIFT), told.control.slot.eq(self.slot)]
        with m.Elif(above.store.valid & (above.store.row == 0)):
            m.d.sync += [told.control.op.eq(Op.STORE), told.control.slot.eq(above.store.slot)]
        with m.If(fetch[0]):
            m.d.sync += part.eq(Mux(fetch[1], 0, part + 1))
            with m.If(fetch[1]):
                m.d.sync += entry.eq(entry + 1)
        with m.If(above.clear):
            m.d.sync += [entry.eq(0), part.eq(0)]
        parts, link = [], len(self.words.payload)
        for number in range(p.group_words):
            width = min(link, p.group_bits - number * link)
            m.submodules[f"part_{number}"] = memory = Memory(shape=width, depth=p.groups, init=[])
            write, read = memory.write_port(), memory.read_port(domain="comb")
            m.d.comb += [
                write.addr.eq(entry),
                write.data.eq(word[:width]),
                write.en.eq(fetch[0] & (part == number)),
                read.addr.eq(told.entry),
            ]
            parts.append(read.data)
        m.d.comb += [
            self.group.eq(later(m, Cat(*parts), 1, "group")),
            self.control.eq(later(m, told.control.as_value(), 1, "control")),
        ]
