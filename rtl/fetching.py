"""Fetching the operands of a group from the rows' memories, a word a cycle, told to the first row."""

from amaranth import Elaboratable, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.control import FETCH
from rtl.counting import Countdown


class Fetcher(wiring.Component):
    """begins: from the next cycle on words of `subgroups` + 1 groups are fetched, `words` + 1 each. stop: no more are.

    fetch: this cycle's word. whole: the last word was fetched, or is in this cycle: the next group may begin.
    """

    def __init__(self, bits: int) -> None:
        self.bits = bits
        inputs = {"begins": In(1), "words": In(bits), "subgroups": In(bits), "stop": In(1)}
        super().__init__({**inputs, "fetch": Out(FETCH), "whole": Out(1)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        word, group, each = Countdown("word", self.bits), Countdown("group", self.bits), Signal(self.bits)
        fetching = Signal()
        m.d.comb += [
            self.fetch.valid.eq(fetching),
            self.fetch.ends.eq(word.last),
            self.whole.eq(~fetching | (word.last & group.last)),
        ]
        with m.If(fetching):
            word.step(m)
            with m.If(word.last):
                word.load(m, each)
                group.step(m)
                with m.If(group.last):
                    m.d.sync += fetching.eq(0)
        with m.If(self.begins):
            m.d.sync += [fetching.eq(1), each.eq(self.words)]
            word.load(m, self.words)
            group.load(m, self.subgroups)
        with m.If(self.stop):
            m.d.sync += fetching.eq(0)
        return m
