"""WUVE, the weight update engine: momentum SGD or AdamW on FP32 weights, a weight a cycle, and the weight for SORE.

The update is laid out as it is written, an own unit for every operation, each of which rounds by itself; what is needed
later waits in ring buffers. See `rtl.golden.units` for the formulas and `rtl.lanes` for the constants.
"""

from dataclasses import dataclass

from amaranth import Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import memory, stream, wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from rtl.divider import Divider, Narrower, Root
from rtl.formats import FP32
from rtl.lanes import NARROWER_LATENCY, UpdateParameters
from rtl.multiply_add import Adder, Multiplier

SHORT = 3  # steps that registers wait for, rather than a ring buffer


@dataclass(frozen=True)
class Node:
    """A value that is there `time` steps after its weight has entered; None when it always is."""

    value: Value
    time: int | None


def before_layout(parameters: UpdateParameters) -> StructLayout:
    """A weight, its states and its gradient."""
    return StructLayout(dict.fromkeys(("weight", *parameters.state, "gradient"), FP32.bits))


def after_layout(parameters: UpdateParameters) -> StructLayout:
    """A weight, its states, and the weight as an operand."""
    kept = dict.fromkeys(("weight", *parameters.state), FP32.bits)
    return StructLayout({**kept, "operand": parameters.operand.bits})


def constants_layout(parameters: UpdateParameters) -> StructLayout:
    """What holds for a whole step."""
    return StructLayout(dict.fromkeys(parameters.constants, FP32.bits))


class Wuve(wiring.Component):
    """A lane of the weight update engine.

    i: stream of structs of FP32 patterns: weight, gradient and each state by name. o: stream of the same without the
    gradient, after the step, and `operand`, the weight in the operand's format. constants: struct of FP32 patterns by
    name, which must stand still while weights are inside.
    """

    def __init__(self, parameters: UpdateParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "i": In(stream.Signature(before_layout(parameters))),
                "constants": In(constants_layout(parameters)),
                "o": Out(stream.Signature(after_layout(parameters))),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        step = Signal(name="go")
        units = _Units(m, step, self.parameters)
        given = {name: Node(self.i.payload[name], 0) for name in self.i.payload.shape().members}
        by = {name: Node(self.constants[name], None) for name in self.parameters.constants}
        made = (_momentum if self.parameters.optimizer == "momentum" else _adamw)(units, given, by)
        made["operand"] = units.narrow(made["weight"])
        latency = max(node.time for node in made.values())
        assert latency == self.parameters.latency
        for name, node in made.items():
            m.d.comb += self.o.payload[name].eq(units.delayed(node, latency).value)
        m.d.comb += [step.eq(advance(m, self.i.valid, self.o, latency)), self.i.ready.eq(step)]
        return m


def _momentum(units: "_Units", at: dict[str, Node], by: dict[str, Node]) -> dict[str, Node]:
    decayed = units.plus(at["gradient"], units.times(at["weight"], by["weight_decay"]))
    velocity = units.plus(units.times(at["momentum"], by["momentum"]), decayed)
    return {
        "weight": units.minus(at["weight"], units.times(velocity, by["learning_rate"])),
        "momentum": velocity,
    }


def _adamw(units: "_Units", at: dict[str, Node], by: dict[str, Node]) -> dict[str, Node]:
    gradient = at["gradient"]
    first = units.plus(units.times(at["first_moment"], by["beta1"]), units.times(gradient, by["beta1_rest"]))
    square = units.times(units.times(gradient, gradient), by["beta2_rest"])
    second = units.plus(units.times(at["second_moment"], by["beta2"]), square)
    spread = units.plus(units.over(units.root(second), by["root_correction"]), by["epsilon"])
    decayed = units.minus(at["weight"], units.times(at["weight"], by["decay"]))
    step = units.times(units.over(first, spread), by["rate"])
    return {"weight": units.minus(decayed, step), "first_moment": first, "second_moment": second}


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


class _Units:
    """Makes units, brings their operands together in time, and says when the result is there."""

    def __init__(self, m: Module, step: Value, parameters: UpdateParameters) -> None:
        self._m = m
        self._step = step
        self._at = parameters

    def plus(self, a: Node, b: Node) -> Node:
        return self._unit(Adder(FP32, self._at.adder_latency), a, b)

    def minus(self, a: Node, b: Node) -> Node:
        return self.plus(a, Node(Cat(b.value[:-1], ~b.value[-1]), b.time))

    def times(self, a: Node, b: Node) -> Node:
        return self._unit(Multiplier(FP32, self._at.multiplier_latency), a, b)

    def over(self, a: Node, b: Node) -> Node:
        return self._unit(Divider(FP32, self._at.divider_latency), a, b)

    def root(self, a: Node) -> Node:
        return self._unit(Root(FP32, self._at.root_latency), a)

    def narrow(self, a: Node) -> Node:
        return self._unit(Narrower(self._at.operand, NARROWER_LATENCY), a)

    def _unit(self, unit: wiring.Component, *operands: Node) -> Node:
        self._m.submodules += unit
        start = max(node.time for node in operands if node.time is not None)
        self._m.d.comb += unit.en.eq(self._step)
        for port, node in zip((unit.a, unit.b) if len(operands) == 2 else (unit.a,), operands, strict=True):
            self._m.d.comb += port.eq(self.delayed(node, start).value)
        return Node(unit.p, start + unit.latency)

    def delayed(self, node: Node, time: int) -> Node:
        """The node's value at a later time."""
        if node.time is None or node.time == time:
            return node
        wait = time - node.time
        return Node(self._registers(node.value, wait) if wait <= SHORT else self._ring(node.value, wait), time)

    def _registers(self, value: Value, wait: int) -> Value:
        for _ in range(wait):
            register = Signal(len(value), name="waiting", reset_less=True)
            with self._m.If(self._step):
                self._m.d.sync += register.eq(value)
            value = register
        return value

    def _ring(self, value: Value, wait: int) -> Value:
        """Written where it is read, so what comes out has waited for one turn."""
        self._m.submodules += (ring := memory.Memory(shape=len(value), depth=wait, init=[]))
        place = Signal(range(wait), name="place")
        read, write = ring.read_port(domain="comb"), ring.write_port()
        with self._m.If(self._step):
            self._m.d.sync += place.eq(Mux(place == wait - 1, 0, place + 1))
        self._m.d.comb += [read.addr.eq(place), write.addr.eq(place), write.data.eq(value), write.en.eq(self._step)]
        return read.data
