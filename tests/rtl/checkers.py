"""What is proven of small blocks: each checker holds one property, or all of them.

State of a checker is `reset_less`, so that nothing can make it forget what it has seen.
"""

from collections.abc import Collection

from amaranth import Elaboratable, Module, Mux, ResetSignal, Signal
from amaranth.hdl import Assert, Assume
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.control import Op, pe_control
from rtl.formats import FloatFormat
from rtl.lanes import SoreParameters
from rtl.parameters import Parameters
from rtl.pe import selected
from rtl.sore import Largest, Sore

LARGEST = (
    "keeps exactly n",
    "drops none larger",
    "indices ascend",
    "indices inside the group",
    "values are those given",
)
SELECTOR = ("operand of the weight's index", "inside the group", "weight that was stored", "weight that passes by")
STREAM = ("stays offered", "stays the same", "no more than was kept")


class CheckLargest(wiring.Component):
    """Any group from its first value on, from any state before it; two of its places, chosen freely, are followed."""

    def __init__(self, form: FloatFormat, n: int, m: int, properties: Collection[str] = LARGEST) -> None:
        self._part = Largest(SoreParameters(form, n, m))
        self._m = m
        self._properties = properties
        index = range(m)
        ports = {"value": form.bits, "take": 1, "start": 1, "keep": range(n + 1), "x": index, "y": index}
        super().__init__({name: In(shape) for name, shape in ports.items()})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.part = part = self._part
        m.d.comb += [
            part.value.eq(self.value),
            part.take.eq(self.take),
            part.start.eq(self.start),
            part.keep.eq(self.keep),
        ]
        seen = Signal(range(self._m + 1), reset_less=True)  # values of the group so far
        before = Signal.like(seen)
        begun = Signal(reset_less=True)
        held = [
            Signal.like(port, name=f"held_{number}", reset_less=True)
            for number, port in enumerate((self.x, self.y, self.keep))
        ]
        x, y, keep = held
        first, second = (Signal.like(self.value, name=name, reset_less=True) for name in ("first", "second"))
        m.d.comb += before.eq(Mux(self.start, 0, seen))
        m.d.comb += [
            Assume(~ResetSignal()),
            Assume(begun | self.start),
            Assume(~self.take | (before < self._m)),
            Assume((self.keep >= 1) & (self.keep <= part.n)),
            Assume(self.start | ((self.x == x) & (self.y == y) & (self.keep == keep))),
        ]
        m.d.sync += [begun.eq(1), x.eq(self.x), y.eq(self.y), keep.eq(self.keep), seen.eq(before + self.take)]
        for place, value in ((self.x, first), (self.y, second)):
            with m.If(self.take & (before == place)):
                m.d.sync += value.eq(self.value)
        with m.If(begun):
            m.d.comb += [
                Assert(holds, name)
                for name, holds in self._claims(seen, x, y, keep, first, second).items()
                if name in self._properties
            ]
        return m

    def _claims(self, seen, x, y, keep, first, second) -> dict[str, object]:
        part = self._part
        here = [part.count > place for place in range(part.n)]
        kept = [
            sum(yes & (index == each) for yes, index in zip(here, part.indices, strict=True)) != 0 for each in (x, y)
        ]
        larger = (first[:-1] > second[:-1]) | ((first[:-1] == second[:-1]) & (x < y))
        both = zip(here, part.indices, part.values, strict=True)
        ascending = [~here[k + 1] | (part.indices[k] < part.indices[k + 1]) for k in range(part.n - 1)]
        return {
            "keeps exactly n": part.count == Mux(seen < keep, seen, keep),
            "drops none larger": ~(kept[0] & ~kept[1] & (y < seen)) | larger,
            "indices ascend": _all(ascending),
            "indices inside the group": _all(
                ~yes | (index < seen) for yes, index in zip(here, part.indices, strict=True)
            ),
            "values are those given": _all(~yes | (index != x) | (value == first) for yes, index, value in both),
        }


class Selection(wiring.Component):
    """A PE's selector with the weights it keeps, and nothing else of the PE: group, control and weight are free."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        ports = {"group": In(p.group_bits), "control": In(pe_control(p)), "passing": In(p.weight_bits)}
        super().__init__(ports | {"operand": Out(p.operand.bits), "weight": Out(p.operand.bits)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        operand, weight = selected(m, self.parameters, self.group, self.control, self.passing)
        m.d.comb += [self.operand.eq(operand), self.weight.eq(weight)]
        return m


class CheckSelector(wiring.Component):
    """Any group, any weights in any order; the place of one stored weight, chosen freely, is followed."""

    def __init__(self, parameters: Parameters, properties: Collection[str] = SELECTOR) -> None:
        self._part = Selection(parameters)
        self._properties = properties
        p = parameters
        ports = {"group": p.group_bits, "control": pe_control(p), "passing": p.weight_bits, "x": range(p.weights)}
        super().__init__({name: In(shape) for name, shape in ports.items()})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.part = part = self._part
        p, bits = part.parameters, part.parameters.operand.bits
        m.d.comb += [part.group.eq(self.group), part.control.eq(self.control), part.passing.eq(self.passing)]
        begun, known = Signal(reset_less=True), Signal(reset_less=True)
        x, stored = Signal.like(self.x, reset_less=True), Signal(p.weight_bits, reset_less=True)
        storing, using = self.control.op == Op.STORE, self.control.op == Op.WEIGHT
        m.d.comb += [Assume(~ResetSignal()), Assume(~begun | (self.x == x)), Assume(begun | ~known)]
        m.d.comb += Assume(self.control.slot < p.weights)
        m.d.sync += [begun.eq(1), x.eq(self.x)]
        with m.If(storing & (self.control.slot == self.x)):
            m.d.sync += [stored.eq(self.passing), known.eq(1)]
        with m.Elif(~begun):
            m.d.sync += known.eq(0)
        mine = begun & known & using & (self.control.slot == x)
        taken = Mux(using, stored, self.passing)
        checked = mine | ~using
        lanes = [self.group.word_select(lane, bits) for lane in range(p.m)]
        named = [(taken[bits:] == lane) & (part.operand == each) for lane, each in enumerate(lanes)]
        claims = {
            "operand of the weight's index": ~checked | (taken[bits:] >= p.m) | _any(named),
            "inside the group": _any([part.operand == each for each in lanes]) | (part.operand == 0),
            "weight that was stored": ~mine | (part.weight == stored[:bits]),
            "weight that passes by": using | (part.weight == self.passing[:bits]),
        }
        m.d.comb += [Assert(holds, name) for name, holds in claims.items() if name in self._properties]
        return m


class CheckStream(wiring.Component):
    """A lane's output keeps the contract of streams, whatever its input and its taker do."""

    def __init__(self, form: FloatFormat, n: int, m: int, properties: Collection[str] = STREAM) -> None:
        self._part = Sore(SoreParameters(form, n, m))
        self._properties = properties
        ports = {"value": form.bits, "last": 1, "valid": 1, "ready": 1}
        super().__init__({name: In(shape) for name, shape in ports.items()})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.part = part = self._part
        most = part.parameters.n
        m.d.comb += [
            part.i.payload.eq(self.value | self.last << len(self.value)),
            part.i.valid.eq(self.valid),
            part.o.ready.eq(self.ready),
            part.keep.eq(most),
        ]
        held, waiting = Signal.like(part.o.payload, reset_less=True), Signal(reset_less=True)
        inside = Signal(range(2 * part.parameters.m), reset_less=True)  # values of the group that goes in
        owed = Signal(range(4 * most), reset_less=True)  # values of whole groups that have not come out
        enters, leaves = part.i.valid & part.i.ready, part.o.valid & part.o.ready
        whole = Mux(enters & self.last, Mux(inside < most, inside + 1, most), 0)
        m.d.comb += [Assume(~ResetSignal()), Assume(self.last | (inside < part.parameters.m - 1))]
        m.d.sync += [held.eq(part.o.payload), waiting.eq(part.o.valid & ~part.o.ready), owed.eq(owed + whole - leaves)]
        with m.If(enters):
            m.d.sync += inside.eq(Mux(self.last, 0, inside + 1))
        claims = {
            "stays offered": ~waiting | part.o.valid,
            "stays the same": ~waiting | (part.o.payload.as_value() == held.as_value()),
            "no more than was kept": ~part.o.valid | (owed > 0),
        }
        m.d.comb += [Assert(holds, name) for name, holds in claims.items() if name in self._properties]
        return m


def _all(claims) -> object:
    result = 1
    for claim in claims:
        result = result & claim
    return result


def _any(claims) -> object:
    result = 0
    for claim in claims:
        result = result | claim
    return result
