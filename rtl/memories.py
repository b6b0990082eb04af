"""The memories at the array's edges: what waits to be used and to be taken, with what a run needs of it."""

from amaranth import Elaboratable, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from rtl.counting import UNRACED
from rtl.parameters import Parameters


class Waiting(wiring.Component):
    """Items that wait to be used: `o` is the next one a cycle after `take`, and stays.

    enough: all before `wanted` have come.
    """

    def __init__(self, bits: int, depth: int) -> None:
        self.bits, self.depth, self.pointer = bits, depth, Parameters.pointer_bits(depth)
        ports = {"i": In(stream.Signature(bits)), "take": In(1), "o": Out(bits), "clear": In(1)}
        super().__init__({**ports, "wanted": In(self.pointer), "enough": Out(1)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        written, taken = (Signal(self.pointer, name=name, reset_less=True) for name in ("written", "taken"))
        level, ready, enough = (
            Signal(range(self.depth + 1), reset_less=True),
            Signal(reset_less=True),
            Signal(reset_less=True),
        )
        m.submodules.memory = memory = Memory(shape=self.bits, depth=self.depth, init=[], attrs=UNRACED)
        write, read = memory.write_port(), memory.read_port()
        came = self.i.valid & self.i.ready
        next_level = level + came - self.take
        m.d.comb += [
            self.i.ready.eq(ready),
            write.addr.eq(written),
            write.data.eq(self.i.payload),
            write.en.eq(came),
            read.addr.eq(taken),
            read.en.eq(self.take),
            self.o.eq(read.data),
            self.enough.eq(enough),
        ]
        m.d.sync += [
            written.eq(written + came),
            taken.eq(taken + self.take),
            level.eq(next_level),
            ready.eq(~next_level[self.depth.bit_length() - 1]),
            enough.eq(~(written - self.wanted)[self.pointer - 1]),
        ]
        with m.If(self.clear):
            m.d.sync += [written.eq(0), taken.eq(0), level.eq(0), ready.eq(0)]
        return m


class Leaving(wiring.Component):
    """Sums that wait to be taken. enough: there is room for all before `wanted`."""

    def __init__(self, bits: int, depth: int) -> None:
        self.bits, self.depth, self.pointer = bits, depth, Parameters.pointer_bits(depth)
        ports = {"comes": In(1), "total": In(bits), "o": Out(stream.Signature(bits)), "clear": In(1)}
        super().__init__({**ports, "wanted": In(self.pointer), "enough": Out(1)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        written, shown, taken = (
            Signal(self.pointer, name=name, reset_less=True) for name in ("written", "shown", "taken")
        )
        valid, enough = Signal(reset_less=True), Signal(reset_less=True)
        m.submodules.memory = memory = Memory(shape=self.bits, depth=self.depth, init=[], attrs=UNRACED)
        write, read = memory.write_port(), memory.read_port()
        goes, there = self.o.valid & self.o.ready, Signal()
        shows = there & (~valid | self.o.ready)
        m.d.comb += [
            write.addr.eq(written),
            write.data.eq(self.total),
            write.en.eq(self.comes),
            there.eq(written != shown),
            read.addr.eq(shown),
            read.en.eq(shows),
            self.o.valid.eq(valid),
            self.o.payload.eq(read.data),
            self.enough.eq(enough),
        ]
        m.d.sync += [
            written.eq(written + self.comes),
            shown.eq(shown + shows),
            taken.eq(taken + goes),
            valid.eq(shows | (valid & ~self.o.ready)),
            enough.eq((self.wanted - taken)[: self.pointer] <= self.depth),
        ]
        with m.If(self.clear):
            m.d.sync += [written.eq(0), shown.eq(0), taken.eq(0), valid.eq(0)]
        return m
