"""A kind of block as C++, with all its copies: arrays of words, a copy after the other, and two functions over them.

`show(at)` works out what the copies at `at` and behind it give, from their registers alone; `become(at)` what their
registers and memories are after the clock's edge. Between the two, whoever is connected to a copy looks at its outputs.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from rtl.fast.cells import CELLS, WORD, Writer, words_of
from rtl.fast.reading import MEMORY, Bit, Bits, Cell, Netlist

LOAD = re.compile(r"load\(\w+ \+ at[^()]*\)")


@dataclass(frozen=True)
class Array:
    """Words that a block keeps, `depth` a copy, all of which begin as `value`."""

    name: str
    depth: int = 1
    value: int = 0


class Block:
    """near: inputs that come from an output of a copy so far away, by their names; the others lie in arrays of their
    own, where whoever drives them puts them."""

    def __init__(self, netlist: Netlist, near: Mapping[str, tuple[str, str]]) -> None:
        self.netlist, self.near = netlist, near
        self.registers = [cell for cell in netlist.cells if cell.kind == "$dff"]
        self.memories = [cell for cell in netlist.cells if cell.kind == MEMORY]
        self._drivers: dict[Bit, Cell] = {}
        for cell in netlist.cells:
            if cell.kind in CELLS or (cell.kind == MEMORY and not cell.is_clocked_memory):
                out = cell.ports["RD_DATA" if cell.kind == MEMORY else "Y"]
                self._drivers |= {bit: cell for bit in out if isinstance(bit, int)}

    def kept(self) -> Iterator[Array]:
        """Registers and memories, by number and word."""
        for number, cell in enumerate(self.registers):
            bits = cell.ports["Q"]
            for word in range(words_of(bits)):
                part = bits[WORD * word : WORD * (word + 1)]
                value = sum(1 << at for at, bit in enumerate(part) if bit in self.netlist.init)
                yield Array(f"register{number}_{word}", 1, value)
        for number, cell in enumerate(self.memories):
            for word in range(words_of(cell.ports["RD_DATA"])):
                yield Array(f"memory{number}_{word}", 1 << cell.number("ABITS"))
                if cell.is_clocked_memory:
                    yield Array(f"read{number}_{word}")

    def ports(self) -> Iterator[Array]:
        """Outputs, and inputs that no neighbour gives."""
        netlist = self.netlist
        for way, ports in (("out", netlist.outputs), ("in", netlist.inputs)):
            for port, bits in ports.items():
                if port not in self.near and port not in ("clk", "rst"):
                    yield from (Array(f"{way}_{port}_{word}") for word in range(words_of(bits)))

    def show(self) -> list[str]:
        """Statements that put outputs where neighbours look for them."""
        writer = self._begun()
        for port, bits in self.netlist.outputs.items():
            self.settle(writer, bits)
            for word in range(words_of(bits)):
                writer.say(f"store(out_{port}_{word} + at, {writer.word(bits, word)});")
        return loaded_once(writer.lines)

    def become(self) -> list[str]:
        """Statements that work everything out before anything changes."""
        writer, changes = self._begun(), list[str]()
        self.take_inputs(writer)
        for number, cell in enumerate(self.registers):
            bits = cell.ports["D"]
            self.settle(writer, bits)
            for word in range(words_of(bits)):
                writer.say(f"const W next{number}_{word} = {writer.word(bits, word)};")
                changes.append(f"store(register{number}_{word} + at, next{number}_{word});")
        for number, cell in enumerate(self.memories):
            changes += self._memory(writer, number, cell)
        return loaded_once([*writer.lines, *changes])

    def _memory(self, writer: Writer, number: int, cell: Cell) -> list[str]:
        """What a memory reads is as it was before what is written."""
        ports, enable, changes = cell.ports, cell.ports["WR_EN"], list[str]()
        assert len(set(enable)) == 1 and cell.number("RD_PORTS") == cell.number("WR_PORTS") == 1, "one port each way"
        for port in ("WR_EN", "WR_ADDR", "WR_DATA", *(("RD_ADDR", "RD_EN") if cell.is_clocked_memory else ())):
            self.settle(writer, ports[port])
        for word in range(words_of(ports["WR_DATA"])):
            memory = f"memory{number}_{word} + at"
            if cell.is_clocked_memory:
                read = f"fetch<TOTAL>({memory}, {writer.word(ports['RD_ADDR'])})"
                was = f"load(read{number}_{word} + at)"
                writer.say(f"const W came{number}_{word} = choose({writer.word(ports['RD_EN'])}, {was}, {read});")
                changes.append(f"store(read{number}_{word} + at, came{number}_{word});")
            what, where, which = writer.word(ports["WR_DATA"], word), writer.word(ports["WR_ADDR"]), enable[:1]
            writer.say(f"const W what{number}_{word} = {what}, to{number}_{word} = {where};")
            writer.say(f"const W if{number}_{word} = {writer.word(which)};")
            names = ", ".join(f"{name}{number}_{word}" for name in ("if", "to", "what"))
            changes.append(f"keep<TOTAL>({memory}, {names});")
        return changes

    def _begun(self) -> Writer:
        """A writer that knows the registers."""
        writer = Writer()
        for number, cell in enumerate(self.registers):
            self._know(writer, cell.ports["Q"], f"register{number}")
        for number, cell in enumerate(self.memories):
            if cell.is_clocked_memory:
                self._know(writer, cell.ports["RD_DATA"], f"read{number}")
        return writer

    def take_inputs(self, writer: Writer) -> None:
        """The writer knows the inputs, too."""
        for port, bits in self.netlist.inputs.items():
            if port in self.near:
                other, away = self.near[port]
                self._know(writer, bits, f"out_{other}", away)
            elif port not in ("clk", "rst"):
                self._know(writer, bits, f"in_{port}")

    def _know(self, writer: Writer, bits: Bits, array: str, away: str = "") -> None:
        for word in range(words_of(bits)):
            writer.place(bits, word, f"load({array}_{word} + at{away})")

    def settle(self, writer: Writer, bits: Bits) -> None:
        """Say every cell on which bits depend, each behind those that it depends on itself.

        Outputs may not depend on inputs: `show` would not find them.
        """
        waiting = [bit for bit in bits if isinstance(bit, int)]
        while waiting:
            if waiting[-1] in writer.where:
                waiting.pop()
                continue
            cell = self._drivers[waiting[-1]]
            needs = ("RD_ADDR",) if cell.kind == MEMORY else ("A", "B", "S")
            inputs = [bit for port in needs for bit in cell.ports.get(port, ()) if isinstance(bit, int)]
            missing = [bit for bit in inputs if bit not in writer.where]
            waiting += missing
            if not missing:
                self._say(writer, cell)

    def _say(self, writer: Writer, cell: Cell) -> None:
        if cell.kind != MEMORY:
            writer.define(cell.ports["Y"], CELLS[cell.kind](writer, cell))
            return
        out, at, number = cell.ports["RD_DATA"], writer.word(cell.ports["RD_ADDR"]), self.memories.index(cell)
        writer.define(out, [f"fetch<TOTAL>(memory{number}_{word} + at, {at})" for word in range(words_of(out))])


def loaded_once(lines: list[str]) -> list[str]:
    """The statements behind one load of every word that they use."""
    names = dict[str, str]()
    body = [LOAD.sub(lambda found: names.setdefault(found[0], f"l{len(names)}"), line) for line in lines]
    return [*(f"const W {name} = {load};" for load, name in names.items()), *body]


def struct(name: str, block: Block, total: str, more: str = "") -> str:
    """C++ of a block of which there are many: `total` copies, a vector of them at once."""
    arrays = [*block.kept(), *block.ports()]
    begun = [f"std::fill({each.name}, {each.name} + TOTAL, {each.value:#x}u);" for each in arrays if each.value]
    return "\n".join(
        [
            f"struct {name} {{",
            "using W = lanes::W;",
            more,
            f"static constexpr size_t TOTAL = {total};",
            *(f"uint32_t {each.name}[{each.depth} * TOTAL]{{}};" for each in arrays),
            f"{name}() {{ {' '.join(begun)} }}",
            functions(block.show, block.become, "lanes", "size_t at"),
            "};",
        ]
    )


def functions(show: Callable[[], list[str]], become: Callable[[], list[str]], space: str, argument: str) -> str:
    """The two functions, which use what is in a namespace."""
    use = " ".join(f"using {space}::{each};" for each in ("load", "store", "one", "same", "choose", "fetch", "keep"))
    return "\n".join(
        f"void {name}({argument}) {{\n{use}\n" + "\n".join(statements()) + "\n}"
        for name, statements in (("show", show), ("become", become))
    )
