"""The systolic array: a mesh of PEs, the edges that feed its rows and columns in turn, and what tells them.

Output stationary, row r and column c work r + c cycles after the first PE; weight stationary, row r as much later as
the sums need to come down to it. A run starts only when all that it takes is in the memories of the edges and there is
room for all that it gives; from then on nothing waits, so there is nothing that could hold the array.

Control is made ahead: the words of a group are fetched from its row's memory as soon as its turn comes, and the orders
for the PEs follow `Parameters.fetch_lead` cycles later, when the group is whole.
"""

import re
from dataclasses import replace

from amaranth import Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.back import rtlil
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.column_edge import ColumnEdge
from rtl.control import COUNTERS, order, run_layout
from rtl.counters import COUNTED, Counters
from rtl.counting import Delay
from rtl.edges import Edges
from rtl.mesh import ClosedMesh, Mesh
from rtl.parameters import Parameters
from rtl.pe import SparsePE
from rtl.placing import Place, as_instance, as_submodule, module_name
from rtl.row_edge import RowEdge
from rtl.run import Error
from rtl.sequencer import Sequencer
from rtl.starting import Starter
from rtl.tools import to_verilog

TOP = "sparse_array"
PASSED = 2  # cycles from the sequencer's state to the first row's and column's side, less the fetch lead


class SparseArray(wiring.Component):
    """run: stream of `run_layout`. west: a stream a row, of words of `west_link` operands. north: a stream a column, of
    weights with their indices above them. seeds, results: a stream a column, of sums that go in and come out.

    counters: of the last run or the one going on. idle: no run is there, and all sums are in the results' memories.
    patience: cycles that a run waits for what it takes before it is given up; 0 is for ever. abort_all: everything is
    forgotten, as by a reset, and with it the error that stopped the array. closed: the mesh is left to somebody else.
    """

    def __init__(self, parameters: Parameters, place: Place = as_submodule, closed: bool = False) -> None:
        self.parameters, self.place, self.closed = parameters, place, closed
        # for diagrams, once elaborated: which columns' sums are leaving
        self.leaves: list[Value] = []
        super().__init__(array_signature(parameters))

    def elaborate(self, platform: object) -> Elaboratable:
        m, p = Module(), self.parameters
        m.submodules.starter = self.starter = starter = Starter(p)
        m.submodules.sequencer = self.sequencer = sequencer = Sequencer(p)
        m.submodules.mesh = self.mesh = ClosedMesh(p) if self.closed else Mesh(p, self.place)
        m.submodules.lead = lead = Delay(order(p), p.fetch_lead)
        wiring.connect(m, wiring.flipped(self.run), starter.runs)
        clear = self._errors(m)
        m.d.comb += [
            sequencer.next.eq(starter.next),
            sequencer.ready.eq(starter.ready),
            sequencer.stop.eq(clear),
            sequencer.wanted.eq(starter.wanted),
            starter.takes.eq(sequencer.takes),
            starter.clear.eq(clear),
            lead.i.eq(sequencer.told),
            lead.clear.eq(clear),
        ]
        place = Edges(m, p, self.place, self.mesh, clear)
        rows = place.rows(self.west, lead.o, sequencer.fetch, starter.wanted.words)
        columns = place.columns(self.north, self.seeds, self.results, lead.o, rows, starter.wanted)
        self.leaves = columns.leaves
        self._gather(m, [*rows.enough, *columns.enough])
        self._count(m)
        return m

    def _errors(self, m: Module) -> Value:
        """Why nothing goes on, and for how long everything is cleared: until what was under way has passed by."""
        p, sequencer, starter = self.parameters, self.sequencer, self.starter
        settle, clear, error = p.settle, Signal(init=1), Signal(Error)
        left = Signal(range(settle + 1), init=settle)
        m.submodules.counts = self.counts = counts = Counters()
        starved = Signal()
        m.d.sync += starved.eq((counts.waited == self.patience) & (self.patience != 0) & starter.waits)
        with m.If(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.Elif(error == Error.NONE):
            m.d.sync += clear.eq(0)
        refused = starter.error != Error.NONE
        for holds, why in (
            (refused & ~clear, starter.error),
            (starved & ~clear, Error.STARVED),
            (sequencer.miscounted & ~clear, Error.COUNT),
            (self.abort_all, Error.NONE),  # the last one wins
        ):
            with m.If(holds):
                m.d.sync += [error.eq(why), clear.eq(1), left.eq(settle)]
        m.d.comb += [counts.error.eq(error), counts.clear.eq(clear)]
        return clear

    def _gather(self, m: Module, flags: list[Value]) -> None:
        """Whether all edges have enough, two registers later."""
        groups = []
        for start in range(0, len(flags), 4):
            group = Signal(name=f"enough_{start}")
            m.d.sync += group.eq(Cat(*flags[start : start + 4]).all())
            groups.append(group)
        enough = Signal()
        m.d.sync += enough.eq(Cat(*groups).all())
        m.d.comb += self.starter.enough.eq(enough)

    def _count(self, m: Module) -> None:
        p, sequencer, counts = self.parameters, self.sequencer, self.counts
        m.d.comb += [
            counts.begins.eq(sequencer.takes),
            counts.active.eq(sequencer.active),
            counts.adds.eq(sequencer.adds),
            counts.loading.eq(sequencer.loading),
            counts.draining.eq(sequencer.draining),
            counts.waits.eq(self.starter.waits & ~sequencer.active),
            self.counters.eq(counts.counters),
        ]
        # After a run's last cycle its orders are on their way to the first row; what is left then is the edge's two
        # cycles, the total's register, the results' memory and what it shows, and a cycle to be sure.
        trail = p.fetch_lead + PASSED + 6
        left = Signal(range(trail + 1))
        m.d.sync += left.eq(Mux(sequencer.active, trail, left - (left != 0)))
        m.d.comb += self.idle.eq(~sequencer.active & ~self.starter.there & (left == 0))


def array_signature(p: Parameters) -> wiring.Signature:
    """The array's ports."""
    return wiring.Signature(
        {
            "run": In(stream.Signature(run_layout())),
            "counters": Out(COUNTERS),
            "idle": Out(1),
            "patience": In(COUNTED),
            "abort_all": In(1),
            "west": In(stream.Signature(p.west_link * p.operand.bits)).array(p.rows),
            "north": In(stream.Signature(p.weight_bits)).array(p.cols),
            "seeds": In(stream.Signature(p.accumulator.bits)).array(p.cols),
            "results": Out(stream.Signature(p.accumulator.bits)).array(p.cols),
        }
    )


BLOCKS = (SparsePE, RowEdge, ColumnEdge)


def array_verilog(p: Parameters) -> str:
    """Verilog of the array `sparse_array` and all it consists of, in the order in which tools read it."""
    return "\n".join([blocks_verilog(p), block_verilog(SparseArray(p, as_instance), TOP)])


def blocks_verilog(p: Parameters) -> str:
    """Verilog of the blocks that an array placed `as_instance` refers to."""
    return "\n".join(block_verilog(kind(p), module_name(kind)) for kind in BLOCKS)


def fingerprint(p: Parameters) -> str:
    """A text that changes whenever the Verilog of the array does, and takes less time."""
    small = replace(p, rows=min(p.rows, 2), cols=min(p.cols, 2))
    blocks = [kind(p) for kind in BLOCKS]
    return "\n".join(rtlil.convert(each, emit_src=False) for each in (*blocks, SparseArray(small, as_instance)))


def block_verilog(component: wiring.Component, name: str) -> str:
    """Verilog of one component; the names of its inner modules begin with its own."""
    text = to_verilog(component, name, strip=True)
    text = re.sub(r"^/\* Generated by .*? \*/\n", "", text)
    return re.sub(rf"\\{name}\.([\w.]+) ", lambda found: f"{name}_{found[1].replace('.', '_')} ", text)
