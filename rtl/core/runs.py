"""The runs of values that the SORE lanes take: commands, and the counters that ask the raw memory for them.

The words of a command lie in the raw memory in the order of its segments, of their groups, and of runs; a run is a
group of as many columns as there are lanes, a word an element. A run in which more is written than there are elements
takes as long as writing does: it begins with cycles in which nothing is asked for, so that what leaves never piles up.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from amaranth import Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout, View
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from rtl.core.raw import SIDE, SIDE_BITS
from rtl.lanes import SoreParameters
from workloads.errors import UserError


@final
@dataclass(frozen=True)
class Sorting:
    """A command: the `keep` largest of every run, in the order of their indices.

    raw: where its words begin. segments: of the reduction, each with `full` groups of `size` elements and then one of
    `tail`, unless that is 0. blocks: runs of each group. pad: runs with fewer than `keep` elements are filled up.

    turned: its words are the columns of blocks of `SIDE` words. step: blocks from one to the next. columns: those of a
    word that there are; nothing is kept of the others. late: values that leave in the time in which these do, if more
    than `keep`.
    """

    raw: int
    keep: int
    size: int
    full: int = 1
    tail: int = 0
    segments: int = 1
    blocks: int = 1
    pad: bool = False
    turned: bool = False
    step: int = 1
    columns: int = SIDE
    late: int = 0

    def runs(self) -> Iterator[int]:
        """Elements of every run in order."""
        for _ in range(self.segments):
            for _ in range(self.full * self.blocks):
                yield self.size
            for _ in range(self.blocks if self.tail else 0):
                yield self.tail

    def written(self, size: int) -> int:
        """Values that are written of a run of that many."""
        return self.keep if self.pad else min(self.keep, size)

    @property
    def beats(self) -> int:
        """Words that it reads."""
        return sum(self.runs())

    @property
    def writes(self) -> int:
        """Writes, and so places that it visits."""
        return sum(map(self.written, self.runs()))

    @property
    def ticks(self) -> int:
        """Cycles in which it works."""
        return sum(max(size, self.written(size)) for size in self.runs())

    @property
    def leaves(self) -> int:
        """Cycles after the last element of a run in which what is kept of it has left."""
        return max(self.late, self.keep)

    @property
    def addresses(self) -> NDArray[np.int64]:
        """(beats,) where its words lie, in their order."""
        block, inside = divmod(self.raw % SIDE + np.arange(self.beats), SIDE)
        return (self.raw // SIDE + block * self.step) * SIDE + inside

    def fields(self, layout: StructLayout) -> dict[str, int]:
        """Its numbers by the names of `sorting_layout`."""
        return {name: int(getattr(self, name)) for name in layout.members} | {"late": self.leaves}

    def bits(self, layout: StructLayout) -> int:
        """As hardware takes it, in `sorting_layout`. Raises UserError for what it cannot count to, or never ends."""
        fields = self.fields(layout)
        beyond = [name for name, value in fields.items() if value < 0 or value >> layout[name].width]
        if beyond:
            raise UserError(f"core: '{beyond[0]}' of {fields[beyond[0]]} is more than the SORE lanes can count to")
        if min(self.keep, self.size, self.segments, self.blocks, self.full + self.tail) < 1:
            raise UserError(f"core: the SORE lanes have nothing to do in {self}")
        if self.addresses[-1] >> layout["raw"].width:
            raise UserError(f"core: {self.beats} words from {self.raw} on are beyond the raw memory")
        return int(layout.const(fields).as_bits())


def sorting_layout(parameters: SoreParameters, raw_bits: int, turn_bits: int) -> StructLayout:
    """The fields of a command in hardware, all of them as they are."""
    element, turns = range(parameters.m + 1), ("segments", "full", "blocks")
    return StructLayout(
        {
            "raw": raw_bits,
            **dict.fromkeys(("keep", "late"), range(parameters.n + 1)),
            **dict.fromkeys(("pad", "turned"), 1),
            "step": raw_bits - SIDE_BITS,
            "columns": SIDE_BITS + 1,
            **dict.fromkeys(turns, turn_bits),
            "size": element,
            "tail": element,
        }
    )


def element_layout(parameters: SoreParameters) -> StructLayout:
    """What is known of a word: that there is one, the first or the last of its run, whose elements are `size`."""
    kept = dict.fromkeys(("keep", "late"), range(parameters.n + 1))
    sizes = {"size": range(parameters.m + 1), **kept, "columns": SIDE_BITS + 1}
    return StructLayout({"taken": 1, "first": 1, "last": 1, "pad": 1, **sizes})


class SortRuns(wiring.Component):
    """Counts through a command from the cycle of `go` on. element: of the word that comes in this cycle."""

    def __init__(self, parameters: SoreParameters, raw_bits: int, turn_bits: int) -> None:
        self.layout = sorting_layout(parameters, raw_bits, turn_bits)
        element = element_layout(parameters)
        self.counts = StructLayout(
            {
                "left": element["size"].shape,  # cycles of this run, this one too
                "in_tail": 1,
                **{name: self.layout[name].shape for name in ("blocks", "full", "segments")},  # left, this one too
            }
        )
        super().__init__(
            {
                "command": In(self.layout),
                "go": In(1),
                "ends": Out(1),
                "raw_address": Out(raw_bits),
                "raw_turned": Out(1),
                "element": Out(element),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        held, command = Signal(self.layout), Signal(self.layout)
        first, counted, now = (Signal(self.counts, name=name) for name in ("first", "counted", "now"))
        address, busy = Signal.like(self.raw_address), Signal()
        starts_in_tail = self.command.full == 0
        m.d.comb += [
            first.in_tail.eq(starts_in_tail),
            first.left.eq(_cycles(self.command, starts_in_tail)),
            *(first[name].eq(self.command[name]) for name in ("blocks", "full", "segments")),
            command.eq(Mux(self.go, self.command, held)),
            now.eq(Mux(self.go, first, counted)),
            # each from its own counts: what follows in this cycle should not wait for the choice between them
            self.ends.eq(Mux(self.go, _over(first, self.command), busy & _over(counted, held))),
        ]
        size, works, asks = _elements(command, now.in_tail), Signal(), Signal()
        at, following = self.raw_address, Signal.like(self.raw_address)
        block = at[SIDE_BITS:] + Mux(at[:SIDE_BITS].all(), command.step, 0)
        m.d.comb += [
            works.eq(self.go | busy),
            asks.eq(works & (now.left <= size)),
            self.raw_address.eq(Mux(self.go, self.command.raw, address)),
            self.raw_turned.eq(command.turned),
            following.eq(Cat((at[:SIDE_BITS] + 1)[:SIDE_BITS], block)),
        ]
        m.d.sync += [
            busy.eq(works & ~self.ends),
            held.eq(command),
            address.eq(Mux(asks, following, self.raw_address)),  # whether is known late, and no carry waits
            self.element.taken.eq(asks),
            self.element.first.eq(now.left == size),
            self.element.last.eq(asks & (now.left == 1)),
            self.element.size.eq(size),
            *(self.element[name].eq(command[name]) for name in ("keep", "late", "pad", "columns")),
        ]
        self._step(m, command, now, counted)
        return m

    def _step(self, m: Module, command: View, now: View, counted: View) -> None:
        """The counts of the next cycle."""
        in_tail = Signal()  # of the next run
        m.d.comb += in_tail.eq(now.in_tail)
        m.d.sync += [counted.eq(now), counted.left.eq(now.left - 1)]
        with m.If(now.left == 1):
            m.d.sync += [counted.in_tail.eq(in_tail), counted.left.eq(_cycles(command, in_tail))]
            m.d.sync += counted.blocks.eq(now.blocks - 1)
            with m.If(now.blocks == 1):
                m.d.sync += counted.blocks.eq(command.blocks)
                with m.If(_segment_over(now, command)):
                    m.d.comb += in_tail.eq(command.full == 0)
                    m.d.sync += [counted.full.eq(command.full), counted.segments.eq(now.segments - 1)]
                with m.Else():
                    m.d.comb += in_tail.eq(now.full == 1)
                    m.d.sync += counted.full.eq(now.full - 1)


def _elements(command: View, in_tail: Value) -> Value:
    return Mux(in_tail, command.tail, command.size)


def _cycles(command: View, in_tail: Value) -> Value:
    """Of a run."""
    size = _elements(command, in_tail)
    return Mux(command.pad & (size < command.keep), command.keep, size)


def _segment_over(counts: View, command: View) -> Value:
    """The group is the last one of its segment."""
    return counts.in_tail | ((counts.full == 1) & (command.tail == 0))


def _over(counts: View, command: View) -> Value:
    """It is the command's last cycle."""
    return (counts.left == 1) & (counts.blocks == 1) & (counts.segments == 1) & _segment_over(counts, command)
