"""Verilog that tools read without a warning: every operand as wide as its result, every wire read or said to be unused.

Amaranth's own Verilog leaves widths to the language's rules, which is right, and which lint warns of at every turn.
Here a flat netlist of whole words is written out: a wire is what one cell gives, registers and memories are clocked
statements, and bits that nobody reads are left away where that changes nothing else.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import final

from amaranth.lib import wiring

from rtl.counting import UNRACED
from rtl.exported.plain_cells import BY_BIT, CELLS, REGISTER, RIPPLED, read_for, widened
from rtl.fast.reading import MEMORY, Bit, Bits, Cell, Netlist, netlist_of
from rtl.verilate import ports_of

CLOCKED = {"clk": 1, "rst": 1}
RESERVED = """
    accept_on alias always and assert assign assume automatic before begin bind bins bit break buf byte case cell
    checker class clocking config const constraint context continue cover cross deassign default defparam design
    disable dist do edge else end enum event eventually expect export extends extern final first_match for force
    foreach forever fork function generate genvar global if iff ignore_bins implies import include initial inout input
    inside instance int integer interface intersect join large let liblist library local localparam logic longint
    macromodule matches medium modport module nand negedge nettype new nexttime nor not null or output package packed
    parameter posedge primitive priority program property protected pull0 pull1 pure rand randc real realtime ref reg
    reject_on release repeat restrict return s_always scalared sequence shortint signed small soft solve specify static
    string strong struct super supply0 supply1 table tagged task this throughout time timeprecision timeunit tran tri
    type typedef union unique unsigned until untyped use uwire var vectored virtual void wait wand weak while wildcard
    wire with within wor xnor xor"""  # in Verilog and SystemVerilog, as far as somebody could call a wire so
KEYWORDS = frozenset(RESERVED.split())


@final
@dataclass(frozen=True)
class Block:
    """What an instance refers to: a module, and the bits of its inputs and outputs."""

    module: str
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]

    @classmethod
    def of(cls, component: wiring.Component, module: str) -> "Block":
        """That of a component; clock and reset are no ports of it."""
        ports = ports_of(component)
        inputs, outputs = ({port.name: port.bits for port in ports if port.is_input is way} for way in (True, False))
        return cls(module, {**CLOCKED, **inputs}, outputs)


def plain_verilog(component: wiring.Component, name: str, blocks: Mapping[str, Block] | None = None) -> str:
    """Verilog of a component as one module. blocks: what instances in it are, by the names that they refer to.

    Raises UserError for a missing tool.
    """
    return PlainWriter(netlist_of(component, name), name, blocks or {}).text()


@final
@dataclass
class PlainWriter:
    """One module. Not frozen: it gives names. where: of every bit the wire that has it, and its place there."""

    netlist: Netlist
    name: str
    blocks: Mapping[str, Block]
    where: dict[Bit, tuple[str, int]] = field(default_factory=dict)
    widths: dict[str, int] = field(default_factory=dict)
    declared: list[str] = field(default_factory=list)
    assigned: list[str] = field(default_factory=list)
    initial: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    clocked: dict[str, list[str]] = field(default_factory=dict)  # statements by clock
    taken: set[str] = field(default_factory=set)

    def text(self) -> str:
        """The module's Verilog."""
        inputs, outputs, fresh = self.netlist.inputs, self.netlist.outputs, count(-1, -1)
        cells = [widened(cell, fresh) for cell in self.netlist.cells if self._is_read(cell)]
        self.taken |= {*inputs, *outputs, *KEYWORDS, "unused"}
        for name, bits in inputs.items():
            self._place(name, bits)
        kept = [self._declare(cell) for cell in cells]
        for cell, places in zip(cells, kept, strict=True):
            self._write(cell, places)
        self.assigned += [f"assign {_said(name)} = {self.value(bits)};" for name, bits in outputs.items()]
        ports = [f"  input wire {_range(len(bits))}{_said(name)}" for name, bits in inputs.items()]
        ports += [f"  output wire {_range(len(bits))}{_said(name)}" for name, bits in outputs.items()]
        lines = [*self.declared, *self.assigned]
        if self.initial:
            lines += ["initial begin", *(f"  {line}" for line in self.initial), "end"]
        for clock, statements in self.clocked.items():
            lines += [f"always @(posedge {clock}) begin", *(f"  {line}" for line in statements), "end"]
        if self.unused:  # what has `unused` in its name is taken by lint for what nobody need read
            lines += ["wire unused = &{1'b0,", *(f"  {each}," for each in self.unused), "  1'b0};"]
        body = "\n".join(f"  {line}" for line in lines)
        return f"module {self.name} (\n" + ",\n".join(ports) + f"\n);\n{body}\nendmodule\n"

    @cached_property
    def used(self) -> set[Bit]:
        """Bits that somebody reads whom somebody reads, and so on up to an output, an instance or a memory."""
        cells = [widened(cell, count(-1, -1)) for cell in self.netlist.cells]
        makers = {bit: cell for cell in cells for port in self._gives(cell) for bit in cell.ports[port]}
        used, found = set[Bit](), [bit for bits in self.netlist.outputs.values() for bit in bits]
        for cell in cells:
            if cell.kind == MEMORY or cell.kind[0] != "$":
                gives = self._gives(cell)
                found += [bit for port, bits in cell.ports.items() if port not in gives for bit in bits]
        while found:
            bit = found.pop()
            if isinstance(bit, int) and bit not in used:
                used.add(bit)
                cell = makers.get(bit)
                if cell is not None and cell.kind[0] == "$" and cell.kind != MEMORY:
                    out = cell.ports[self._gives(cell)[0]]
                    found += read_for(cell, [at for at, each in enumerate(out) if each == bit])
        return used

    def _is_read(self, cell: Cell) -> bool:
        """Whether somebody reads what a cell gives."""
        return cell.kind[0] != "$" or any(bit in self.used for port in self._gives(cell) for bit in cell.ports[port])

    def _gives(self, cell: Cell) -> list[str]:
        """The ports of a cell that are its outputs."""
        if cell.kind[0] == "$":
            return [port for port in ("Y", "Q", "RD_DATA") if port in cell.ports]
        return [name for name, bits in cell.ports.items() if name in self.blocks[cell.kind].outputs and bits]

    # names

    def _named(self, bits: Bits, instead: str) -> str:
        """A name that nobody has yet, that of the design where it has one."""
        told = self.netlist.names.get(tuple(bits), instead) if bits else instead
        plain = re.sub(r"\W+", "_", told).strip("_") or instead
        plain = plain if plain[0].isalpha() else f"n{plain}"
        name, number = plain, 1
        while name in self.taken:
            name, number = f"{plain}_{number}", number + 1
        self.taken.add(name)
        return name

    def _place(self, name: str, bits: Bits) -> None:
        """A wire consists of these bits; note those that nobody reads."""
        self.widths[name] = len(bits)
        for at, bit in enumerate(bits):
            self.where.setdefault(bit, (name, at))
        spare = [at for at, bit in enumerate(bits) if bit not in self.used]
        while spare:
            length = next((n for n, at in enumerate(spare) if at != spare[0] + n), len(spare))
            self.unused.append(self._slice(name, spare[0], length))
            spare = spare[length:]

    def _wire(self, bits: Bits, instead: str, kind: str = "wire") -> None:
        name = self._named(bits, instead)
        self.declared.append(f"{kind} {_range(len(bits))}{name};")
        self._place(name, bits)

    # cells

    def _declare(self, cell: Cell) -> list[int]:
        """Declare what a cell gives. Returns which places of its output are kept, for cells that have one."""
        base, kept = _last(cell.name), list[int]()
        if cell.kind == MEMORY:
            width = cell.number("WIDTH")
            for number in range(cell.number("RD_PORTS")):
                out = cell.ports["RD_DATA"][number * width : (number + 1) * width]
                self._wire(out, f"{base}_read", "reg " if self._is_clocked(cell, number) else "wire")
            return kept
        for port in self._gives(cell):
            bits = cell.ports[port]
            kept = list(range(len(bits)))
            if cell.kind in BY_BIT:
                kept = [at for at in kept if bits[at] in self.used]
            elif cell.kind in RIPPLED:
                kept = list(range(max((at for at in kept if bits[at] in self.used), default=0) + 1))
            named = f"{base}_{port}" if cell.kind[0] != "$" else f"n{len(self.declared)}"
            self._wire([bits[at] for at in kept], named, "reg " if cell.kind == REGISTER else "wire")
        return kept

    def _write(self, cell: Cell, kept: list[int]) -> None:
        if cell.kind == MEMORY:
            self._memory(cell)
        elif cell.kind == REGISTER:
            bits = [cell.ports["Q"][at] for at in kept]
            name, begins = self._whole(bits), sum((bit in self.netlist.init) << at for at, bit in enumerate(bits))
            self.initial.append(f"{name} = {len(bits)}'h{begins:x};")
            data = self.value([cell.ports["D"][at] for at in kept])
            self._at(cell.ports["CLK"], f"{name} <= {data};")
        elif cell.kind[0] == "$":
            out = self._whole([cell.ports["Y"][at] for at in kept])
            self.assigned.append(f"assign {out} = {CELLS[cell.kind](self, cell, kept)};")
        else:
            gives = self._gives(cell)
            ports = [
                f".{_said(port)}({self._whole(bits) if port in gives else self._input(cell, port)})"
                for port, bits in cell.ports.items()
                if bits
            ]
            block, name = self.blocks[cell.kind], self._named((), _last(cell.name))
            module = block.module
            ports += [f".{_said(port)}({bits}'h0)" for port, bits in block.inputs.items() if not cell.ports.get(port)]
            for port, bits in block.outputs.items():
                if not cell.ports.get(port):  # nobody takes it
                    left = self._named((), f"{name}_{port}")
                    self.declared.append(f"wire {_range(bits)}{left};")
                    self.unused.append(left)
                    ports.append(f".{_said(port)}({left})")
            self.assigned.append(f"{module} {name} ({', '.join(ports)});")

    def _input(self, cell: Cell, port: str) -> str:
        """As wide as the port is."""
        bits, width = cell.ports[port], self.blocks[cell.kind].inputs[port]
        return self.value([*bits[:width], *["0"] * (width - len(bits))])

    def _whole(self, bits: Bits) -> str:
        """The wire that consists of these bits."""
        name, at = self.where[bits[0]]
        assert at == 0 and self.widths[name] == len(bits), name
        return name

    def _at(self, clock: Bits, statement: str) -> None:
        self.clocked.setdefault(self.value(clock), []).append(statement)

    def _memory(self, cell: Cell) -> None:
        """A memory; what is written is read from the next cycle on."""
        width, size, most = cell.number("WIDTH"), cell.number("SIZE"), cell.number("ABITS")
        name, need = self._named((), _last(cell.name)), (size - 1).bit_length()
        assert "1" not in cell.parameters["RD_TRANSPARENCY_MASK"] + cell.parameters["INIT"]
        told = "(* no_rw_check *) " if UNRACED.keys() & cell.attributes.keys() else ""  # for Yosys
        self.declared.append(f"{told}reg  {_range(width)}{name} [0:{size - 1}];")
        index = self._named((), f"{name}_index")
        self.declared.append(f"integer {index};")
        self.initial.append(f"for ({index} = 0; {index} < {size}; {index} = {index} + 1) {name}[{index}] = {width}'h0;")

        def address(port: str, number: int) -> str:
            bits = [*cell.ports[port][number * most : (number + 1) * most], *["0"] * need]
            return self.value(bits[:need])

        for number in range(cell.number("WR_PORTS")):
            clock, first = cell.ports["WR_CLK"][number : number + 1], number * width
            for lowest, bits in _alike(cell.ports["WR_EN"][first : first + width]):
                place = "" if bits == width else f"[{lowest + bits - 1}:{lowest}]"
                enable = cell.ports["WR_EN"][first + lowest]
                data = self.value(cell.ports["WR_DATA"][first + lowest : first + lowest + bits])
                target = f"{name}[{address('WR_ADDR', number)}]{place}"
                self._at(clock, f"if ({self.value([enable])}) {target} <= {data};")
        for number in range(cell.number("RD_PORTS")):
            shown = self._whole(cell.ports["RD_DATA"][number * width : (number + 1) * width])
            word = f"{name}[{address('RD_ADDR', number)}]"
            if not self._is_clocked(cell, number):
                self.assigned.append(f"assign {shown} = {word};")
                continue
            self.initial.append(f"{shown} = {width}'h0;")
            enable, clock = (cell.ports[port][number : number + 1] for port in ("RD_EN", "RD_CLK"))
            when = "" if enable[0] == "1" else f"if ({self.value(enable)}) "
            self._at(clock, f"{when}{shown} <= {word};")

    @staticmethod
    def _is_clocked(cell: Cell, number: int) -> bool:
        return cell.parameters["RD_CLK_ENABLE"][::-1][number] == "1"

    # expressions

    def _slice(self, name: str, at: int, length: int) -> str:
        if length == self.widths[name]:
            return _said(name)
        return f"{_said(name)}[{at}]" if length == 1 else f"{_said(name)}[{at + length - 1}:{at}]"

    def value(self, bits: Bits) -> str:
        """An expression that is exactly as wide as these bits."""
        parts, at = list[str](), 0
        while at < len(bits):
            length, part = self._run(bits, at)
            parts.append(part)
            at += length
        return parts[0] if len(parts) == 1 else f"{{{', '.join(reversed(parts))}}}"

    def _run(self, bits: Bits, at: int) -> tuple[int, str]:
        """The longest piece from a place on that is one constant, one bit again and again, or a part of one wire."""
        bit, end = bits[at], at + 1
        if not isinstance(bit, int):
            while end < len(bits) and not isinstance(bits[end], int):
                end += 1
            number = sum((each == "1") << place for place, each in enumerate(bits[at:end]))
            return end - at, f"{end - at}'h{number:x}"
        name, place = self.where[bit]
        while end < len(bits) and bits[end] == bit:
            end += 1
        if end > at + 1:
            return end - at, f"{{{end - at}{{{self._slice(name, place, 1)}}}}}"
        while end < len(bits) and self.where.get(bits[end]) == (name, place + end - at):
            end += 1
        return end - at, self._slice(name, place, end - at)


def _alike(enables: Bits) -> list[tuple[int, int]]:
    """The parts of a word that are written together: the lowest bit of each, and its bits."""
    starts = [at for at in range(len(enables)) if at == 0 or enables[at] != enables[at - 1]]
    return [(start, end - start) for start, end in zip(starts, [*starts[1:], len(enables)], strict=True)]


def _range(bits: int) -> str:
    return f"[{bits - 1}:0] " if bits > 1 else ""


def _said(name: str) -> str:
    """A port may be called by a keyword, which is then escaped."""
    return f"\\{name} " if name in KEYWORDS else name


def _last(name: str) -> str:
    """The last part of a cell's name in the hierarchy that there was, with the one before it."""
    return "_".join(re.sub(r"\W+", "_", part).strip("_") for part in name.split(".")[-2:])
