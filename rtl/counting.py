"""Small circuits that the array's control consists of: countdowns, delays, conditions that are registers."""

from amaranth import Elaboratable, Module, Mux, Shape, Signal, Value
from amaranth.hdl import ShapeCastable
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

SHORT = 4  # cycles that registers delay; more are a memory's
UNRACED = {"no_rw_check": 1}  # for Yosys: no place is read in the cycle in which it is written


class Countdown:
    """Counts a loop down; `last` is a register, so that whoever asks for it passes no comparison.

    `step` and `load` stand in statements of the module; a `load` after a `step` wins, as in Amaranth.
    """

    def __init__(self, name: str, bits: int) -> None:
        self.left, self.last = Signal(bits, name=f"{name}_left"), Signal(name=f"{name}_last")

    def load(self, m: Module, count_less_one: Value) -> None:
        m.d.sync += [self.left.eq(count_less_one), self.last.eq(Value.cast(count_less_one) == 0)]

    def step(self, m: Module) -> None:
        m.d.sync += [self.left.eq(self.left - 1), self.last.eq(self.left == 1)]


def later(m: Module, value: Value, cycles: int, name: str) -> Value:
    """`value` as it was so many cycles ago; no reset reaches the registers, whatever was in them passes by."""
    for number in range(cycles):
        register = Signal(value.shape(), name=f"{name}_{number + 1}", reset_less=True)
        m.d.sync += register.eq(value)
        value = register
    return value


class Delay(wiring.Component):
    """o is i, `cycles` cycles later; what was inside before `clear` never comes out."""

    def __init__(self, layout: ShapeCastable, cycles: int) -> None:
        self.layout, self.cycles = layout, cycles
        super().__init__({"i": In(layout), "o": Out(layout), "clear": In(1)})

    def elaborate(self, platform: object) -> Elaboratable:
        m, bits = Module(), Shape.cast(self.layout).width
        value: Value = Signal(bits)
        m.d.comb += value.eq(self.i)
        if self.cycles <= SHORT:
            for number in range(self.cycles):
                register = Signal(bits, name=f"delayed_{number + 1}")
                m.d.sync += register.eq(Mux(self.clear, 0, value))
                value = register
            m.d.comb += self.o.eq(value)
            return m
        # the memory's own cycle and a register behind it are two of the cycles
        depth = self.cycles - 1
        m.submodules.memory = memory = Memory(shape=bits, depth=depth, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        at, turns, out = Signal(range(depth)), Signal(), Signal(bits)
        m.d.comb += [write.addr.eq(at), write.data.eq(value), write.en.eq(1), read.addr.eq(at), self.o.eq(out)]
        m.d.sync += [at.eq(Mux(at == depth - 1, 0, at + 1)), out.eq(Mux(turns & ~self.clear, read.data, 0))]
        with m.If(at == depth - 1):
            m.d.sync += turns.eq(1)
        with m.If(self.clear):
            m.d.sync += [at.eq(0), turns.eq(0)]
        return m
