"""Putting a component into a module: as it is for Amaranth's simulator, or as an instance of a module of its own.

Amaranth's Verilog repeats a submodule for every place it is used in; an instance keeps one text for all.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from amaranth import ClockSignal, Instance, Module, ResetSignal, Value
from amaranth.lib import wiring

P = TypeVar("P")  # the parameters of a kind of component
Wires = Mapping[str, Value]  # by the name of the port, those inside a stream as `stream__payload`


class Place(Protocol):
    """One of the two below."""

    def __call__(
        self, m: Module, name: str, kind: Callable[[P], wiring.Component], p: P, inputs: Wires, outputs: Wires
    ) -> None: ...


def as_submodule(
    m: Module, name: str, kind: Callable[[P], wiring.Component], p: P, inputs: Wires, outputs: Wires
) -> None:
    """A component of its own, its ports connected to wires."""
    m.submodules[name] = component = kind(p)
    for port, wire in inputs.items():
        m.d.comb += _port(component, port).eq(wire)
    for port, wire in outputs.items():
        m.d.comb += Value.cast(wire).eq(_port(component, port))


def as_instance(
    m: Module, name: str, kind: Callable[[P], wiring.Component], p: P, inputs: Wires, outputs: Wires
) -> None:
    """An instance of the Verilog module of that kind; `p` is the module's own."""
    del p
    ports = {f"i_{port}": Value.cast(wire) for port, wire in inputs.items()}
    ports |= {f"o_{port}": Value.cast(wire) for port, wire in outputs.items()}
    clocked = {"i_clk": ClockSignal(), "i_rst": ResetSignal(allow_reset_less=True)}
    m.submodules[name] = Instance(module_name(kind), **clocked, **ports)


def module_name(kind: Callable[[P], wiring.Component]) -> str:
    """Name of a component's Verilog module: SparsePE is sparse_pe."""
    name = kind.__name__
    parts = [at for at in range(1, len(name)) if name[at].isupper() and not name[at - 1].isupper()]
    return "_".join(name[start:end].lower() for start, end in zip([0, *parts], [*parts, None], strict=True))


def _port(component: wiring.Component, name: str) -> Value:
    value: object = component
    for part in name.split("__"):
        value = getattr(value, part)
    return Value.cast(value)
