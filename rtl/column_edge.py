"""The north and the south edge of a column: weights and sums that go in, sums that come out, each in a memory."""

from amaranth import Elaboratable, Module, Mux
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.control import demand
from rtl.counting import later
from rtl.memories import Leaving, Waiting
from rtl.parameters import Parameters

COLUMN_SIDE = data.StructLayout({"take": 1, "seed": 1, "comes": 1, "clear": 1})
"""What goes from column to column, a cycle later each: the next weight is used, a sum goes in, one comes out."""


class ColumnEdge(wiring.Component):
    """weights: each with its index above it. seeds, results: sums in and out. above, below: the PEs next to it.

    enough: all that the next run takes here has come, and there is room for all that it gives (`wanted`). weight and
    seed are there two cycles after `take` and `seed` of `before`, the side of the column before; a weight stays until
    the next one is taken, a seed for a cycle, after which it is zero. total comes with `comes`.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        super().__init__(
            {
                "weights": In(stream.Signature(p.weight_bits)),
                "seeds": In(stream.Signature(p.accumulator.bits)),
                "results": Out(stream.Signature(p.accumulator.bits)),
                "wanted": In(demand(p)),
                "enough": Out(1),
                "before": In(COLUMN_SIDE),
                "after": Out(COLUMN_SIDE),
                "weight": Out(p.weight_bits),
                "seed": Out(p.accumulator.bits),
                "total": In(p.accumulator.bits),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m, p, wanted = Module(), self.parameters, self.wanted
        m.submodules.waiting_weights = weights = Waiting(p.weight_bits, p.column_depth)
        m.submodules.waiting_seeds = seeds = Waiting(p.accumulator.bits, p.results)
        m.submodules.leaving = leaving = Leaving(p.accumulator.bits, p.results)
        wiring.connect(m, wiring.flipped(self.weights), weights.i)
        wiring.connect(m, wiring.flipped(self.seeds), seeds.i)
        wiring.connect(m, leaving.o, wiring.flipped(self.results))
        seeded = later(m, self.before.seed, 1, "seeded")
        m.d.comb += [
            self.after.eq(later(m, self.before.as_value(), 1, "side")),
            weights.take.eq(self.before.take),
            seeds.take.eq(self.before.seed),
            self.weight.eq(later(m, weights.o, 1, "weight")),
            self.seed.eq(later(m, Mux(seeded, seeds.o, 0), 1, "seed")),
            leaving.comes.eq(later(m, self.before.comes, 1, "comes")),
            leaving.total.eq(later(m, self.total, 1, "total")),
            weights.wanted.eq(wanted.weights),
            seeds.wanted.eq(wanted.seeds),
            leaving.wanted.eq(wanted.results),
            self.enough.eq(weights.enough & seeds.enough & leaving.enough),
        ]
        for each in (weights, seeds, leaving):
            m.d.comb += each.clear.eq(self.before.clear)
        return m
