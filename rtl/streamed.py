"""Pipelined blocks between streams: `valid` walks along with the data, and everything stops while nobody takes it."""

from amaranth import Elaboratable, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out


def advance(m: Module, offered: Value, output: stream.Interface, latency: int) -> Signal:
    """Drive the valid of a pipeline's output `latency` steps after `offered`; returns when the pipeline steps.

    It steps whenever its last place is empty or taken from, which is also when it takes what is offered.
    """
    step = Signal(name="step")
    flags = Signal(latency, name="flags")
    m.d.comb += step.eq(~output.valid | output.ready)
    if latency == 0:
        m.d.comb += output.valid.eq(offered)
        return step
    m.d.comb += output.valid.eq(flags[-1])
    with m.If(step):
        m.d.sync += flags.eq(flags << 1 | offered)
    return step


class Streamed(wiring.Component):
    """A block with ports a, perhaps b, en and p, between a stream of operands and one of results.

    i: stream of structs with `a` (and `b`); o: stream of results, in the same order, `latency` steps later. A result
    stays until it is taken; one pair may enter every cycle.
    """

    def __init__(self, core: wiring.Component, latency: int) -> None:
        self.core = core
        self.latency = latency
        shapes = {name: member.shape for name, member in core.signature.members.items() if name in ("a", "b")}
        result = core.signature.members["p"].shape
        super().__init__({"i": In(stream.Signature(StructLayout(shapes))), "o": Out(stream.Signature(result))})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.core = core = self.core
        step = advance(m, self.i.valid, self.o, self.latency)
        m.d.comb += [core.en.eq(step), self.i.ready.eq(step), self.o.payload.eq(core.p), core.a.eq(self.i.payload.a)]
        if "b" in core.signature.members:
            m.d.comb += core.b.eq(self.i.payload.b)
        return m
