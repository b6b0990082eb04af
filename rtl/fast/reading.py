"""A flat module as Yosys sees it: ports, cells of whole words, and the values that registers begin with."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from amaranth.back import rtlil
from amaranth.lib import wiring

from rtl.tools import yosys_of_amaranth

Bit = int | str  # a number of the netlist, or the constant 0, 1, x
Bits = Sequence[Bit]
MEMORY = "$mem_v2"
# whole words stay whole, registers are plain ones, every block is one module
SCRIPT = (
    "proc; flatten; opt_expr; opt_clean; opt_merge; wreduce; opt_expr; opt_merge; opt_clean; memory_collect; opt_clean"
)


@dataclass(frozen=True)
class Cell:
    """A cell: `kind` and parameters as Yosys names them, the bits of every port, the lowest first.

    attributes: notes for tools.
    """

    name: str
    kind: str
    parameters: Mapping[str, str]
    ports: Mapping[str, Bits]
    attributes: Mapping[str, str] = field(default_factory=dict)

    def number(self, parameter: str) -> int:
        return int(self.parameters[parameter], 2)

    @property
    def is_clocked_memory(self) -> bool:
        """Whether it is a memory that gives what it read a cycle later."""
        return self.kind == MEMORY and self.number("RD_CLK_ENABLE") == 1


@dataclass(frozen=True)
class Netlist:
    """A module. init: the bits of registers that begin as one. names: of the design's own wires, by their bits."""

    inputs: Mapping[str, Bits]
    outputs: Mapping[str, Bits]
    cells: Sequence[Cell]
    init: frozenset[Bit]
    names: Mapping[tuple[Bit, ...], str] = field(default_factory=dict)


def netlist_of(component: wiring.Component, name: str) -> Netlist:
    """The netlist of a component, whose instances stay cells. Raises UserError when a tool is missing."""
    text = rtlil.convert(component, name=name, emit_src=False)
    said = yosys_of_amaranth(f"read_rtlil <<rtlil\n{text}\nrtlil\nhierarchy -top {name}; {SCRIPT}; write_json")
    return _netlist(json.loads(said)["modules"][name])


def _netlist(module: Mapping[str, Any]) -> Netlist:
    init = set[Bit]()
    for net in module["netnames"].values():
        values = reversed(net["attributes"].get("init", ""))
        init |= {bit for bit, value in zip(net["bits"], values, strict=False) if value == "1"}
    cells = [
        Cell(name, cell["type"], cell["parameters"], cell["connections"], cell.get("attributes", {}))
        for name, cell in module["cells"].items()
        if cell["type"] != "$scopeinfo"
    ]
    ways = ("input", "output")
    inputs, outputs = (
        {name: port["bits"] for name, port in module["ports"].items() if port["direction"] == way} for way in ways
    )
    wires = [(name, net) for name, net in module["netnames"].items() if not net["hide_name"]]
    wires.sort(key=lambda wire: (-wire[0].count("."), wire[0]))  # of several, the outermost wins
    names = {tuple(net["bits"]): name for name, net in wires}
    return Netlist(inputs, outputs, cells, frozenset(init), names)
