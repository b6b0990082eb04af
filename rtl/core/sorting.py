"""The SORE lanes: side by side they take a row of neighbouring columns a cycle, and write what they keep of each group.

What is kept of a run leaves while the next run comes in, a row a cycle: the last one always `keep` cycles after the
run was whole, or `late` where a command says so. Of a run with fewer values than that, the first one therefore waits;
so whatever runs follow each other, no two of them meet, and each command is written a constant number of cycles after
its last one.
"""

import numpy as np
from amaranth import Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout, StructLayout, View
from amaranth.lib.wiring import Out
from numpy.typing import NDArray

from rtl.core.engine import WORD_BITS, engine_ports, operands
from rtl.core.runs import Sorting, SortRuns, element_layout, sorting_layout
from rtl.core.walk import Walker, WalkShape
from rtl.formats import FloatFormat, dtype_of
from rtl.golden.units import packed
from rtl.lanes import SoreParameters
from rtl.sore import Largest
from rtl.timing import CORE_SORTED, sorted_latency


def sorted_core_latency(keep: int) -> int:
    """Cycles from a command's last one until its last write is on the port."""
    return sorted_latency(keep) + CORE_SORTED


def sorted_weights(
    command: Sorting, words: NDArray[np.uint64], form: FloatFormat, lanes: int, m: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(writes, lanes) values and indices of what is written; words: those that the command reads, in order.

    What fills a run up is -0 and selects an operand that is +0, so that it leaves any sum as it is. What stands in
    place of columns that there are not is -0 as well.
    """
    shifts = (np.arange(lanes) * form.bits).astype(np.uint64)
    columns = (words[:, None] >> shifts & np.uint64((1 << form.bits) - 1)).astype(dtype_of(form))
    values, indices, at = [], [], 0
    for size in command.runs():
        count, kept = command.written(size), min(command.keep, size)
        value = np.full((count, lanes), 1 << (form.bits - 1), np.int64)
        index = np.full((count, lanes), min(size, m - 1), np.int64)
        for lane in range(lanes):
            value[:kept, lane], index[:kept, lane], _ = packed(columns[at : at + size, lane], form, command.keep, m)
        value[:, command.columns :], index[:, command.columns :] = 1 << (form.bits - 1), 0
        values.append(value)
        indices.append(index)
        at += size
    return np.concatenate(values), np.concatenate(indices)


class Sorter(wiring.Component):
    """`lanes` lanes that keep up to `n` of up to `m` values, one column each. Ports: see `engine_ports`.

    `write` carries a weight of each lane, value and index, those of the first lane lowest. The walker's first place
    must be there as soon as a first run is whole. A command whose values leave sooner than those of the one before must
    not begin before that one is `filled`. raw_turned: the word at `raw_address` is wanted turned.
    """

    def __init__(self, form: FloatFormat, lanes: int, n: int, m: int, shape: WalkShape, raw_bits: int) -> None:
        self.parameters = SoreParameters(form, n, m)
        self.lanes, self.shape, self.raw_bits = lanes, shape, raw_bits
        weight = StructLayout({"value": form.bits, "index": self.parameters.index_bits})
        self.weights = ArrayLayout(weight, lanes)
        layout = sorting_layout(self.parameters, raw_bits, shape.turn_bits)
        ports = engine_ports(layout, raw_bits, shape, {"weights": self.weights})
        super().__init__({**ports, "raw_turned": Out(1)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.runs = runs = SortRuns(self.parameters, self.raw_bits, self.shape.turn_bits)
        m.submodules.walker = walker = Walker(self.shape)
        wiring.connect(m, wiring.flipped(self.walks), walker.walks)
        # the lanes take a word from a register, since memories are slow
        element, word = Signal(element_layout(self.parameters)), Signal(WORD_BITS, reset_less=True)
        place = walker.places.payload
        m.d.sync += [element.eq(runs.element), word.eq(self.raw_data)]
        m.d.comb += [
            runs.command.eq(self.command),
            runs.go.eq(self.go),
            self.ends.eq(runs.ends),
            self.raw_address.eq(runs.raw_address),
            self.raw_turned.eq(runs.raw_turned),
        ]
        weights, leaves = self._leave(m, self._kept(m, element, word), element)
        m.d.comb += [walker.places.ready.eq(leaves), self.write.weights.eq(weights)]
        m.d.sync += [
            self.write.enable.eq(leaves),
            self.write.address.eq(place.address),
            self.write.bank.eq(place.bank),
            self.filled.eq(leaves & place.last),
        ]
        return m

    def _kept(self, m: Module, element: View, word: Value) -> list[Value]:
        """What the lanes hold, in the order in which it leaves; beyond the end of a run, what fills it up."""
        p = self.parameters
        rows = [Signal(self.weights, name=f"row_{number}") for number in range(p.n)]
        # of the run that the lanes hold: which of its rows there are, and the index of those that there are not
        there, beyond, columns = Signal(p.n), Signal(p.index_bits), Signal(self.lanes)
        m.d.sync += [
            there.eq(Cat(element.size > at for at in range(p.n))),
            beyond.eq(element.size),  # less than m, where any is missing
            columns.eq(Cat(element.columns > number for number in range(self.lanes))),
        ]
        for number in range(self.lanes):
            m.submodules[f"lane_{number}"] = lane = Largest(p)
            m.d.comb += [
                lane.value.eq(operands(word, p.form.bits)[number]),
                lane.take.eq(element.taken),
                lane.start.eq(element.taken & element.first),
                lane.keep.eq(element.keep),
            ]
            for at, row in enumerate(rows):
                kept = there[at] & columns[number]
                m.d.comb += [
                    row[number].value.eq(Mux(kept, lane.values[at], 1 << (p.form.bits - 1))),
                    row[number].index.eq(Mux(columns[number], Mux(there[at], lane.indices[at], beyond), 0)),
                ]
        return rows

    def _leave(self, m: Module, rows: list[Value], element: View) -> tuple[Value, Value]:
        """Rows on their way out, of which the first one is on the port; returns it, and whether the next one is there.

        Row 0 of a run goes as far back as the run is too short, so that the last one always goes to place late - 1.
        """
        n = self.parameters.n
        missing, back = Signal(range(n)), Signal(range(n))
        fits = element.pad | (element.size >= element.keep)
        m.d.comb += missing.eq(element.late - Mux(fits, element.keep, element.size))
        leaving = [Signal(self.weights, name=f"leaving_{number}", reset_less=True) for number in range(n)]
        there = Signal(n + 1)  # of each place, and none beyond the last
        comes = Signal(n)  # of each place: a row of the run goes there
        goes = (element.last & (missing <= number) & (element.late > number) for number in range(n))
        m.d.sync += [back.eq(missing), comes.eq(Cat(goes)), there.eq(there[1:] | comes)]
        for number, here in enumerate(leaving):
            if number + 1 < n:
                m.d.sync += here.eq(leaving[number + 1])
            with m.If(comes[number]), m.Switch(back):
                for distance in range(number + 1):
                    with m.Case(distance):
                        m.d.sync += here.eq(rows[number - distance])
        return leaving[0], there[1] | comes[0]
