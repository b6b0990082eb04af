"""Putting a component into a module: as it is for Amaranth's simulator, or as an instance of a module of its own.

Amaranth's Verilog repeats a submodule for every place it is used in; an instance keeps one text for all.
"""

from collections.abc import Callable

from amaranth import ClockSignal, Instance, Module, ResetSignal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow

Place = Callable[[Module, str, wiring.Component, dict[str, Value]], None]


def as_submodule(m: Module, name: str, component: wiring.Component, wires: dict[str, Value]) -> None:
    """Wires: by the name of the port, those inside a stream as `stream.payload`."""
    m.submodules[name] = component
    for path, member, value in component.signature.flatten(component):
        wire = wires[".".join(map(str, path))]
        own = Value.cast(value)
        m.d.comb += own.eq(wire) if member.flow is Flow.In else Value.cast(wire).eq(own)


def as_instance(m: Module, name: str, component: wiring.Component, wires: dict[str, Value]) -> None:
    """As `as_submodule`; the module is called `module_name` of the component."""
    ports = {}
    for path, member, _ in component.signature.flatten(component):
        kind = "i" if member.flow is Flow.In else "o"
        ports[f"{kind}_{'__'.join(map(str, path))}"] = Value.cast(wires[".".join(map(str, path))])
    m.submodules[name] = Instance(module_name(component), i_clk=ClockSignal(), i_rst=ResetSignal(), **ports)


def module_name(component: wiring.Component) -> str:
    """Name of a component's Verilog module: SparsePE is sparse_pe."""
    name = type(component).__name__
    return "".join(
        f"_{letter.lower()}" if letter.isupper() and at and not name[at - 1].isupper() else letter.lower()
        for at, letter in enumerate(name)
    )
