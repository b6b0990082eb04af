"""The array as C++: PEs, rows and columns as lanes, one copy of what tells them, and the ports of Verilator's model.

A cycle is two passes. In the first every block shows its outputs; in the second every block becomes what it is after
the clock's edge. What is a neighbour's output in the array is a word further on in the blocks' arrays: a PE's west is
one lane back, its north a row back. The first row and column lie one further in, and the edges put their words there.
"""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from rtl.array import SparseArray, array_signature
from rtl.column_edge import ColumnEdge
from rtl.fast.blocks import Block, functions, struct
from rtl.fast.cells import Writer, words_of
from rtl.fast.reading import Bits, Cell, Netlist, netlist_of
from rtl.parameters import Parameters
from rtl.pe import SparsePE
from rtl.placing import as_instance
from rtl.row_edge import RowEdge
from rtl.verilate import Port, ports_of

PES = {
    **{"west_group": ("east_group", " - 1"), "west_control": ("east_control", " - 1")},
    **{"north_weight": ("south_weight", " - STRIDE"), "north_sum": ("south_sum", " - STRIDE")},
}
EDGES = {"row_edge": {"above": ("below", " - 1")}, "column_edge": {"before": ("after", " - 1")}}
SOURCES = ("reading.py", "cells.py", "blocks.py", "program.py", "lanes.h")
Place = Callable[[int], str]  # of a word of some bits


class Root(Block):
    """What tells the array: blocks' outputs are its inputs, their inputs its outputs, besides the array's ports."""

    def __init__(self, netlist: Netlist, edges: dict[str, Block], p: Parameters) -> None:
        super().__init__(netlist, {})
        self._edges, self._p = edges, p
        self._mesh = next(cell for cell in netlist.cells if cell.kind == "mesh")
        self._placed = [(cell, int(cell.name.rsplit("_", 1)[1])) for cell in netlist.cells if cell.kind in edges]

    def take_inputs(self, writer: Writer) -> None:
        for port, bits in self.netlist.inputs.items():
            for word in range(words_of(bits)):
                writer.place(bits, word, f"take({_member(port)}, {word})")
        for bits, place in self._shown():
            for word in range(words_of(bits)):
                writer.place(bits, word, place(word))

    def _shown(self) -> Iterator[tuple[Bits, Place]]:
        """What blocks show the root, and where."""
        for col in range(self._p.cols):
            at = f"[pes.ROWS * pes.STRIDE + LANES + {col}]"
            yield self._mesh.ports[f"totals__{col}"], _place("pes.out_south_sum", at)
        for cell, number in self._placed:
            for port in self._edges[cell.kind].netlist.outputs:
                yield _port(cell, port), _place(f"{cell.kind}.out_{port}", f"[LANES + {number}]")

    def _told(self) -> Iterator[tuple[Bits, Place]]:
        """What the root tells blocks, and where."""
        for row in range(self._p.rows):
            for port, name in (("groups", "east_group"), ("controls", "east_control")):
                at = f"[{row + 1} * pes.STRIDE + LANES - 1]"
                yield self._mesh.ports[f"{port}__{row}"], _place(f"pes.out_{name}", at)
        for col in range(self._p.cols):
            for port, name in (("weights", "south_weight"), ("seeds", "south_sum")):
                yield self._mesh.ports[f"{port}__{col}"], _place(f"pes.out_{name}", f"[LANES + {col}]")
        for cell, number in self._placed:
            block = self._edges[cell.kind]
            for port in block.netlist.inputs:
                if port in block.near and number == 0:
                    yield _port(cell, port), _place(f"{cell.kind}.out_{block.near[port][0]}", "[LANES - 1]")
                elif port not in block.near and port not in ("clk", "rst"):
                    yield _port(cell, port), _place(f"{cell.kind}.in_{port}", f"[LANES + {number}]")

    def show(self) -> list[str]:
        writer = self._begun()
        self.take_inputs(writer)
        for bits, place in self._told():
            self.settle(writer, bits)
            for word in range(words_of(bits)):
                writer.say(f"{place(word)} = {writer.word(bits, word)};")
        for port, bits in self.netlist.outputs.items():
            self.settle(writer, bits)
            for word in range(words_of(bits)):
                writer.say(f"give({_member(port)}, {word}, {writer.word(bits, word)});")
        return writer.lines


def _place(name: str, at: str) -> Place:
    return lambda word: f"{name}_{word}{at}"


def _port(cell: Cell, port: str) -> Bits:
    """The bits at a port, none where Yosys has left it out."""
    return cell.ports.get(port, ())


def _member(port: str) -> str:
    return port.replace("__", "___05F")


@cache
def source_of_lanes() -> str:
    """What decides the program besides the array: a text that changes whenever it may."""
    folder = Path(__file__).parent
    return "".join((folder / f"{name}").read_text() for name in SOURCES)


def array_program(p: Parameters) -> str:
    """A header that takes the place of Verilator's: `Vblock` with the array's ports and `eval`.

    Raises UserError when a tool is missing.
    """
    pes = Block(netlist_of(SparsePE(p), "sparse_pe"), PES)
    kinds = {"row_edge": RowEdge, "column_edge": ColumnEdge}
    edges = {name: Block(netlist_of(kind(p), name), EDGES[name]) for name, kind in kinds.items()}
    root = Root(netlist_of(SparseArray(p, as_instance, closed=True), "sparse_array"), edges, p)
    sizes = f"static constexpr size_t ROWS = {p.rows}, STRIDE = LANES + lanes_for({p.cols});"
    counts = {"row_edge": p.rows, "column_edge": p.cols}
    parts = [(Path(__file__).parent / "lanes.h").read_text(), struct("Pes", pes, "(ROWS + 1) * STRIDE", sizes)]
    parts += [struct(f"struct_{name}", edges[name], f"LANES + lanes_for({count})") for name, count in counts.items()]
    return "\n".join([*parts, _top(root, ports_of(array_signature(p).create()))])


def _top(root: Root, ports: list[Port]) -> str:
    kept = list(root.kept())
    begun = " ".join(f"{each.name}[0] = {each.value:#x}u;" for each in kept if each.value)
    return (
        TOP.replace("$ports", "\n".join(f"{_type(port.bits)} {port.member}{{}};" for port in ports))
        .replace("$state", "\n".join(f"uint32_t {each.name}[{each.depth}]{{}};" for each in kept))
        .replace("$begun", begun)
        .replace("$functions", functions(root.show, root.become, "single", "size_t at = 0"))
    )


def _type(bits: int) -> str:
    """What Verilator makes of a port."""
    return next((f"uint{size}_t" for size in (8, 16, 32, 64) if bits <= size), f"Wide<{-(-bits // 32)}>")


TOP = """struct Vblock {
uint8_t clk = 0, rst = 0;
$ports
Pes pes;
struct_row_edge row_edge;
struct_column_edge column_edge;
VerilatedContext* context;
bool rose = false;
static constexpr size_t TOTAL = 1;
using W = single::W;
$state
explicit Vblock(VerilatedContext* context) : context(context) { $begun }
VerilatedContext* contextp() { return context; }
$functions
template <class PE, class Edge> void every(PE pe, Edge edge) {
    for (size_t row = 1; row <= pes.ROWS; row++)
        for (size_t at = LANES; at < pes.STRIDE; at += LANES) pe(row * pes.STRIDE + at);
    for (size_t at = LANES; at < row_edge.TOTAL; at += LANES) edge(row_edge, at);
    for (size_t at = LANES; at < column_edge.TOTAL; at += LANES) edge(column_edge, at);
}
// As Verilator's: registers change where the clock rises. Right after that nobody looks: inputs come first.
void eval() {
    if (clk) {
        every([&](size_t at) { pes.become(at); }, [](auto& edge, size_t at) { edge.become(at); });
        become();
        rose = true;
    } else if (rose) {
        rose = false;
    } else {
        every([&](size_t at) { pes.show(at); }, [](auto& edge, size_t at) { edge.show(at); });
        show();
    }
}
};
"""
