"""Counters of a run, as the host reads them."""

from amaranth import Elaboratable, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.control import COUNTERS
from rtl.counting import later
from rtl.run import Error

COUNTED = 24  # bits that count; longer runs than 16 million cycles no memory holds


class Counters(wiring.Component):
    """begins: a run begins with the next cycle. active, adds, loading, draining: what this cycle of it is spent on.
    waits: nothing goes on for want of what the next run takes. waited: cycles that it has waited so far, which `clear`
    takes back."""

    def __init__(self) -> None:
        inputs = dict.fromkeys(("begins", "active", "adds", "loading", "draining", "waits", "clear"), In(1))
        super().__init__({**inputs, "error": In(Error), "waited": Out(COUNTED), "counters": Out(COUNTERS)})

    def elaborate(self, platform: object) -> Elaboratable:
        m, counters = Module(), self.counters
        counted = {"cycles": self.active, "compute": self.adds, "fill": self.loading, "drain": self.draining}
        counts = Signal(len(counted), name="counted")
        # a cycle late, so that a count's carry starts at a register
        m.d.sync += counts.eq(sum((flag << number for number, flag in enumerate(counted.values())), start=0))
        begins = later(m, self.begins, 2, "begins")
        totals = {name: Signal(COUNTED, name=name) for name in (*counted, "waiting")}
        for number, name in enumerate(counted):
            m.d.sync += totals[name].eq(Mux(begins, counts[number], totals[name] + counts[number]))
        with m.If(self.waits & ~self.waited.all()):
            m.d.sync += self.waited.eq(self.waited + 1)
        with m.If(begins):
            m.d.sync += [totals["waiting"].eq(self.waited), self.waited.eq(0)]
        with m.If(self.clear):
            m.d.sync += self.waited.eq(0)
        m.d.comb += [counters.error.eq(self.error), *(counters[name].eq(total) for name, total in totals.items())]
        return m
