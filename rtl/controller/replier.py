"""From results to bytes: one reply after the other, the lowest byte first."""

from amaranth import Elaboratable, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Out


class Replier(wiring.Component):
    """bytes: what goes out. free: a reply may be said in this cycle. Replies are said with `say`, at elaboration."""

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self._said: list[tuple[Value, Value, int]] = []
        super().__init__({"bytes": Out(stream.Signature(8)), "free": Out(1, init=1)})

    def say(self, when: Value, text: Value, length: int) -> None:
        """Reply with so many bytes of `text` when `when` is high, which it is only while the replier is free."""
        self._said.append((when, text, length))

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        reply, left = Signal(8 * self.longest), Signal(range(self.longest + 1))
        m.d.comb += [self.bytes.valid.eq(~self.free), self.bytes.payload.eq(reply[:8])]
        with m.If(self.bytes.valid & self.bytes.ready):
            m.d.sync += [reply.eq(reply >> 8), left.eq(left - 1), self.free.eq(left == 1)]
        for when, text, length in self._said:
            with m.If(when):
                m.d.sync += [reply.eq(text), left.eq(length), self.free.eq(0)]
        return m
