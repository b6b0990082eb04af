"""From bytes to items: as many as a command counts, each of the bytes that its letter says."""

from collections.abc import Mapping

from amaranth import Cat, Elaboratable, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class Gatherer(wiring.Component):
    """lengths: bytes of an item by letter. letter, count: of the command at hand, when `active`.

    bytes: what comes. item: an item, in the highest bytes of its payload so far as it is shorter than others.
    done: all of them went on.
    """

    def __init__(self, lengths: Mapping[str, int]) -> None:
        self.lengths, self.longest = lengths, max(lengths.values())
        command = {"active": In(1), "letter": In(8), "count": In(16), "done": Out(1)}
        streams = {"bytes": In(stream.Signature(8)), "item": Out(stream.Signature(8 * self.longest))}
        super().__init__({**command, **streams})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        byte, items, whole, last = Signal(range(self.longest + 1)), Signal(16), Signal(), Signal()
        with m.Switch(self.letter):
            for letter, length in self.lengths.items():
                with m.Case(ord(letter)):
                    m.d.comb += last.eq(byte == length - 1)
        goes = self.item.valid & self.item.ready
        m.d.comb += [
            self.bytes.ready.eq(self.active & ~whole & (items != self.count)),
            self.item.valid.eq(whole),
            self.done.eq(items == self.count),
        ]
        with m.If(self.bytes.valid & self.bytes.ready):
            m.d.sync += [
                self.item.payload.eq(Cat(self.item.payload[8:], self.bytes.payload)),
                byte.eq(Mux(last, 0, byte + 1)),
                whole.eq(last),
            ]
        with m.If(goes):
            m.d.sync += [whole.eq(0), items.eq(items + 1)]
        with m.If(~self.active):
            m.d.sync += items.eq(0)
        return m
