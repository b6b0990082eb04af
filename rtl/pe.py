"""The unified sparse PE: one multiply-accumulate a cycle, in both dataflows, dense or n:m.

    west group, control --+--> register ------------------------> east
                          |       |
    north weight --> register -> select one of m -> register -> multiplier -> adder <-+- waiting <- accumulators
                          |       ^ index                                       |     |     ^            ^
                          |   stored weights                                    +-----+-----)------------+
                          +-----------------------------------> south           |           |
                                                       north sum ---------------)-----------+
                                                                                +--> south sum

A weight comes with the index of its operand in the group. Output stationary takes weights as they pass by and adds to
the accumulator that the control names; weight stationary has its weights stored, takes a sum from the north with the
first one and keeps it in the accumulators, by weight, until the adder's next turn. What is added to waits in a register
of its own, a cycle ahead: read from the accumulators, past the sum that is written there in that very cycle, or taken
from the north. A sum that the adder finishes in the cycle of the addition itself is read past that register.

Nothing is reset: an idle control a cycle, for as long as the array clears, leaves nothing inside.
"""

from amaranth import Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from rtl.control import Op, pe_control
from rtl.counting import later
from rtl.multiply_add import Adder, Multiplier
from rtl.parameters import Parameters


class SparsePE(wiring.Component):
    """Ports:

    west_group, east_group: m operands, the first in the lowest bits. west_control, east_control: `pe_control`.
    north_weight, south_weight: an operand with its index above it. north_sum, south_sum: an accumulator.
    East and south weights leave a cycle after they came; `south_sum` comes from the adder's or the waiting register.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        super().__init__(
            {
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
        group, control, passing = (
            Signal.like(port, name=name, reset_less=True)
            for port, name in (
                (self.east_group, "group"),
                (self.east_control, "control"),
                (self.south_weight, "passing"),
            )
        )
        m.d.sync += [group.eq(self.west_group), control.eq(self.west_control), passing.eq(self.north_weight)]
        m.d.comb += [self.east_group.eq(group), self.east_control.eq(control), self.south_weight.eq(passing)]
        m.submodules.multiplier = multiplier = Multiplier(p.operand, p.multiplier_latency)
        operand, weight = selected(m, p, group, control, passing)
        m.d.comb += [
            multiplier.a.eq(later(m, operand, 1, "operand")),
            multiplier.b.eq(later(m, weight, 1, "weight")),
        ]
        self._accumulate(m, control, multiplier.p)
        return m

    def _accumulate(self, m: Module, arrived: data.View, product: Value) -> None:
        """Everything that chooses is decided a cycle ahead, so that a sum passes few gates on its way."""
        p = self.parameters
        m.submodules.adder = adder = Adder(p.accumulator, p.adder_latency)
        weight = arrived.op == Op.WEIGHT
        parts = {
            "adds": (arrived.op == Op.OUTPUT) | weight,
            "shifts": arrived.op == Op.SHIFT,
            "north": arrived.first & weight,
            "zero": arrived.first & ~weight,
            "slot": arrived.slot,
            "before": (arrived.slot - weight)[: p.slot_bits],
        }
        layout = data.StructLayout({name: len(value) for name, value in parts.items()})
        # two cycles and one before the operand reaches the adder
        sooner = data.View(layout, later(m, Cat(*parts.values()), p.input_latency - 3, "sooner"))
        soon = data.View(layout, later(m, sooner.as_value(), 1, "soon"))
        added, slots = [soon.adds], [soon.slot]
        for number in range(p.adder_latency):
            added.append(later(m, added[-1], 1, f"added_{number}"))
            slots.append(later(m, slots[-1], 1, f"slot_{number}"))
        # the sum that the adder finishes in the next cycle, and what is written then
        finishes, where = added[p.adder_latency], slots[p.adder_latency]
        writing, whither = finishes | soon.shifts, Mux(soon.shifts, soon.slot, where)
        shifting, writes, to = (
            later(m, each, 1, name) for each, name in ((soon.shifts, "shifting"), (writing, "writes"), (whither, "to"))
        )
        held = _kept(m, "accumulators", p.slots, writes, to, Mux(shifting, self.north_sum, adder.p), soon.before)
        written = writing & (whither == sooner.before)  # in the cycle in which it would be read
        from_north = later(m, sooner.north | (written & soon.shifts), 1, "from_north")
        from_adder = later(m, written & ~soon.shifts & ~sooner.north, 1, "from_adder")
        waiting = later(m, Mux(from_north, self.north_sum, Mux(from_adder, adder.p, held)), 1, "waiting")
        meets = finishes & (where == soon.before)
        passes = later(m, meets & ~soon.north & ~soon.zero, 1, "passes")
        empty = later(m, soon.zero, 1, "empty")
        gives = later(m, soon.shifts & ~meets, 1, "gives")
        m.d.comb += [
            # zero behind the register, not before it: there it would become a reset of all its bits
            adder.a.eq(Mux(passes, adder.p, waiting & ~empty.replicate(len(waiting)))),
            adder.b.eq(product),
            self.south_sum.eq(Mux(gives, waiting, adder.p)),
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
