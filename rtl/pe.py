"""The unified sparse PE: one multiply-accumulate a cycle, in both dataflows, dense or n:m.

    west group, control --+--> register ------------------------> east
                          |       |
    north weight --> register -> select one of m -> register -> multiplier -> adder <- accumulators
                          |       ^ index                                       |           ^
                          |   stored weights                                    +-----------+--> south sum
                          +-----------------------------------> south
                                                       north sum --> adder (weight stationary), accumulators (shift)

A weight comes with the index of its operand in the group. Output stationary takes weights as they pass by and adds to
the accumulator that the control names; weight stationary has its weights stored, takes a sum from the north with the
first one and keeps it in the accumulators, by weight, until the adder's next turn. A sum that the adder finishes in
this very cycle is read past the accumulators.
"""

from amaranth import Cat, Elaboratable, EnableInserter, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from rtl.control import Op, pe_control
from rtl.multiply_add import Adder, Multiplier
from rtl.parameters import Parameters


class SparsePE(wiring.Component):
    """Ports, besides `en` (everything stands still while it is low):

    west_group, east_group: m operands, the first in the lowest bits. west_control, east_control: `pe_control`.
    north_weight, south_weight: an operand with its index above it. north_sum, south_sum: an accumulator.
    East and south weights leave a cycle after they came; `south_sum` is a wire from the adder or the accumulators.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        super().__init__(
            {
                "en": In(1),
                "west_group": In(p.group_bits),
                "west_control": In(pe_control(p)),
                "north_weight": In(p.weight_bits),
                "north_sum": In(p.accumulator.bits),
                "east_group": Out(p.group_bits),
                "east_control": Out(pe_control(p)),
                "south_weight": Out(p.weight_bits),
                "south_sum": Out(p.accumulator.bits),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m, p = Module(), self.parameters
        m.d.sync += [
            self.east_group.eq(self.west_group),
            self.east_control.eq(self.west_control),
            self.south_weight.eq(self.north_weight),
        ]
        m.submodules.multiplier = multiplier = Multiplier(p.operand, p.multiplier_latency)
        operand, weight = selected(m, p, self.east_group, self.east_control, self.south_weight)
        m.d.comb += [
            multiplier.a.eq(_delayed(m, operand, p.select_latency, "operand")),
            multiplier.b.eq(_delayed(m, weight, p.select_latency, "weight")),
        ]
        self._accumulate(m, multiplier.p)
        return EnableInserter(self.en)(m)

    def _accumulate(self, m: Module, product: Value) -> None:
        """Everything that chooses is decided a cycle ahead, so that a sum passes few gates on its way."""
        p, arrived = self.parameters, self.east_control
        m.submodules.adder = adder = Adder(p.accumulator, p.adder_latency)
        weight = arrived.op == Op.WEIGHT
        # held apart from the rest: what has to be idle after a reset
        doing = Cat((arrived.op == Op.OUTPUT) | weight, arrived.op == Op.SHIFT)
        adds, shifts = _delayed(m, doing, p.input_latency - 2, "doing", reset_less=False)
        before = (arrived.slot - weight)[: p.slot_bits]
        rest = Cat(arrived.slot, before, arrived.first & weight, arrived.first & ~weight)
        layout = data.StructLayout({"slot": p.slot_bits, "before": p.slot_bits, "north": 1, "zero": 1})
        soon = data.View(layout, _delayed(m, rest, p.input_latency - 2, "control"))
        added = [adds, *_each_later(m, adds, p.adder_latency, "added", reset_less=False)]
        slots = [soon.slot, *_each_later(m, soon.slot, p.adder_latency, "slot")]
        # in the next cycle the adder finishes what is asked for
        passes = _delayed(m, added[p.adder_latency] & (slots[p.adder_latency] == soon.before), 1, "passes")
        north, zero = (_delayed(m, each, 1, name) for each, name in ((soon.north, "north"), (soon.zero, "zero")))
        at, shifting = _delayed(m, soon.before, 1, "at"), _delayed(m, shifts, 1, "shifting", reset_less=False)
        writes = _delayed(m, added[p.adder_latency] | shifts, 1, "writes", reset_less=False)
        to = _delayed(m, Mux(shifts, soon.slot, slots[p.adder_latency]), 1, "to")
        held = Signal(p.accumulator.bits)
        kept = _kept(m, "accumulators", p.slots, writes, to, Mux(shifting, self.north_sum, adder.p), at)
        m.d.comb += [
            held.eq(Mux(passes, adder.p, kept)),
            adder.a.eq(Mux(zero, 0, Mux(north, self.north_sum, held))),
            adder.b.eq(product),
            self.south_sum.eq(Mux(shifting, held, adder.p)),
        ]


def selected(m: Module, p: Parameters, group: Value, control: data.View, passing: Value) -> tuple[Value, Value]:
    """The operand that belongs to this cycle's weight, and the weight: the one passing by, or a stored one."""
    bits = p.operand.bits
    store, taken = control.op == Op.STORE, Signal(p.weight_bits)
    stored = _kept(m, "stored", p.weights, store, control.slot, passing, control.slot)
    m.d.comb += taken.eq(Mux(control.op == Op.WEIGHT, stored, passing))
    return group.word_select(taken[bits:], bits) if p.m > 1 else group, taken[:bits]


def _kept(m: Module, name: str, depth: int, enable: Value, to: Value, value: Value, at: Value) -> Value:
    """What was last written to place `at` of so many places, `value` being written to place `to`."""
    if depth == 1:
        only = Signal(len(value), name=name, reset_less=True)
        with m.If(enable):
            m.d.sync += only.eq(value)
        return only
    m.submodules[name] = memory = Memory(shape=len(value), depth=depth, init=[])
    write, read = memory.write_port(), memory.read_port(domain="comb")
    m.d.comb += [write.addr.eq(to), write.data.eq(value), write.en.eq(enable), read.addr.eq(at)]
    return read.data


def _delayed(m: Module, value: object, cycles: int, name: str, reset_less: bool = True) -> Value:
    """`value` as it was `cycles` enabled cycles ago."""
    return [Value.cast(value), *_each_later(m, value, cycles, name, reset_less)][-1]


def _each_later(m: Module, value: object, cycles: int, name: str, reset_less: bool = True) -> list[Value]:
    """`value` as it was 1, 2 ... `cycles` enabled cycles ago."""
    wires = [Value.cast(value)]
    for number in range(cycles):
        register = Signal(len(wires[0]), name=f"{name}_{number + 1}", reset_less=reset_less)
        m.d.sync += register.eq(wires[-1])
        wires.append(register)
    return wires[1:]
