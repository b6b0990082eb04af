"""The update engine of the core: lanes of WUVE between two memories, and the updated weights as operands for SORE.

A row of its memories has four neighbouring weights, each with its states and its gradient. It takes a row a cycle; what
comes out goes to the memory of what is kept, from which the DMA writes it to DRAM, and as a word of operands into the
raw memory, from which the SORE lanes make the copies that products use.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import final

from amaranth import Cat, Const, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from rtl.core.engine import WORD_BITS as HALF  # two FP32 values: half of a row of a field
from rtl.core.engine import write_layout
from rtl.core.raw import SIDE, SIDE_BITS
from rtl.core.walk import WalkShape
from rtl.counting import UNRACED, Delay, later
from rtl.formats import FP32
from rtl.lanes import UpdateParameters
from rtl.placing import Place, as_submodule
from rtl.timing import CORE_UPDATED
from rtl.wuve import Wuve, after_layout, before_layout, constants_layout
from workloads.errors import UserError


@final
@dataclass(frozen=True)
class UpdateShape:
    """Sizes of an update engine. rows: of each of its two memories; raw_bits: of an address of the raw memory."""

    lane: UpdateParameters
    rows: int
    places: WalkShape
    raw_bits: int

    @cached_property
    def kept(self) -> tuple[str, ...]:
        """Fields of a row that are kept."""
        return ("weight", *self.lane.state)

    @property
    def taken(self) -> tuple[str, ...]:
        """Those that it takes."""
        return (*self.kept, "gradient")

    @property
    def row_bits(self) -> int:
        """Of an address of its memories."""
        return max(1, (self.rows - 1).bit_length())

    @property
    def command(self) -> StructLayout:
        """See `Updating`. fresh: the step's constants are to be taken. gives: operands go into the raw memory."""
        addresses = {"taken": self.row_bits, "kept": self.row_bits, "raw": self.raw_bits}
        counts = {"rows": self.row_bits + 1, "blocks": self.row_bits + 1, "columns": SIDE_BITS + 1}
        return StructLayout({**addresses, **counts, "fresh": 1, "gives": 1})

    @property
    def constants(self) -> StructLayout:
        return constants_layout(self.lane)

    @property
    def write(self) -> StructLayout:
        """Half a row of a field, for a bank of the memory of what is taken."""
        return write_layout(self.places, {"data": HALF})

    @property
    def latency(self) -> int:
        """Cycles from a command's last one until its last write is on the ports."""
        return self.lane.latency + CORE_UPDATED


@final
@dataclass(frozen=True)
class Updating:
    """A command: `blocks` blocks of `rows` rows of four neighbouring columns, the last block perhaps of fewer columns.

    taken, kept: addresses of the first row; the others follow. raw: where its operands go, if it gives any; each block
    begins at a multiple of four, so that its rows can be read turned.
    """

    taken: int
    kept: int
    raw: int
    rows: int
    blocks: int
    columns: int = SIDE
    fresh: bool = False
    gives: bool = True

    @property
    def ticks(self) -> int:
        """Cycles in which it works."""
        return self.rows * self.blocks

    def bits(self, shape: UpdateShape) -> int:
        """As hardware takes it. Raises UserError for what is beyond the memories."""
        ends = max(self.taken, self.kept) + self.ticks
        raw = self.raw + -(-self.rows // SIDE) * SIDE * self.blocks if self.gives else 0
        if ends > shape.rows or raw > 1 << shape.raw_bits or min(self.rows, self.blocks, self.columns) < 1:
            raise UserError(f"core: {self} is beyond an update engine of {shape.rows} rows")
        return int(shape.command.const({name: int(getattr(self, name)) for name in shape.command.members}).as_bits())


class Updater(wiring.Component):
    """command: what begins in the cycle of `go`. ends: this is a command's last working cycle. constants: of a step.

    write: half a row of a field into the memory of what is taken; its bank is twice the field's number, and one more
    for the upper columns. read_address, read_bank: the same of what is kept, which is on `word` a cycle later. raw: a
    word of operands for the raw memory. filled: a command's last word is on `raw`, and its last row is being written.
    """

    def __init__(self, shape: UpdateShape, place: Place = as_submodule) -> None:
        self.shape, self.place = shape, place
        walk = shape.places
        super().__init__(
            {
                "command": In(shape.command),
                "go": In(1),
                "ends": Out(1),
                "filled": Out(1),
                "constants": In(stream.Signature(shape.constants)),
                "write": In(shape.write),
                "read_address": In(walk.address_bits),
                "read_bank": In(walk.bank_bits),
                "word": Out(HALF),
                "raw": Out(StructLayout({"enable": 1, "address": shape.raw_bits, "data": HALF})),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m, shape = Module(), self.shape
        constants = Signal(shape.constants)
        m.d.comb += self.constants.ready.eq(self.go & self.command.fresh)
        with m.If(self.constants.ready):
            m.d.sync += constants.eq(self.constants.payload)
        address, place, columns = self._count(m)
        rows = self._rows(m, address, columns)
        gone = Signal(place.shape())
        m.submodules.way = way = Delay(place.shape(), shape.latency)
        m.d.comb += [way.i.eq(place), way.clear.eq(0), gone.eq(way.o)]
        made, operands = list[Value](), list[Value]()
        before, after = before_layout(shape.lane), after_layout(shape.lane)
        for number in range(SIDE):
            given, taken = Signal(before, name=f"before_{number}"), Signal(after, name=f"after_{number}")
            m.d.comb += [given[name].eq(rows[name][number]) for name in shape.taken]
            inputs = {"i__payload": given, "i__valid": Const(1), "o__ready": Const(1), "constants": constants}
            self.place(m, f"lane_{number}", Wuve, shape.lane, inputs, {"o__payload": taken})
            made.append(Cat(taken[name] for name in shape.kept))
            operands.append(taken.operand)
        fields = Cat(Cat(each.word_select(field, FP32.bits) for each in made) for field in range(len(shape.kept)))
        row = later(m, fields, 1, "row")
        m.d.comb += [
            self.raw.enable.eq(gone.there & gone.gives),
            self.raw.address.eq(gone.raw),
            self.raw.data.eq(later(m, Cat(operands), 1, "operands")),
            self.filled.eq(gone.there & gone.last),
        ]
        self._keep(m, gone, row)
        return m

    def _count(self, m: Module) -> tuple[Value, Value, Value]:
        """Count through a command; returns the row that is asked for, where it goes, and how many columns it has."""
        shape, command = self.shape, self.command
        held, busy = Signal(shape.command), Signal()
        names = ("taken", "kept", "raw", "rows", "blocks")
        now, after = (
            {name: Signal.like(command[name], name=f"{what}_{name}") for name in names} for what in ("now", "after")
        )
        whole = Signal.like(command.rows)
        works, ends_block = Signal(), Signal()
        m.d.comb += [
            *(now[name].eq(Mux(self.go, command[name], after[name])) for name in names),
            whole.eq(Mux(self.go, command.rows, held.rows)),
            works.eq(self.go | busy),
            ends_block.eq(now["rows"] == 1),
            self.ends.eq(works & ends_block & (now["blocks"] == 1)),
        ]
        m.d.sync += [
            busy.eq(works & ~self.ends),
            after["taken"].eq(now["taken"] + 1),
            after["kept"].eq(now["kept"] + 1),
            after["raw"].eq(Mux(ends_block, now["raw"] | (SIDE - 1), now["raw"]) + 1),
            after["rows"].eq(Mux(ends_block, whole, now["rows"] - 1)),
            after["blocks"].eq(now["blocks"] - ends_block),
        ]
        with m.If(self.go):
            m.d.sync += held.eq(command)
        flags = {"there": 1, "last": 1, "gives": 1}
        place = Signal(StructLayout({**flags, "kept": shape.row_bits, "raw": shape.raw_bits}))
        m.d.comb += [
            place.there.eq(works),
            place.gives.eq(Mux(self.go, command.gives, held.gives)),
            place.last.eq(self.ends),
            place.kept.eq(now["kept"]),
            place.raw.eq(now["raw"]),
        ]
        last = Mux(self.go, command.columns, held.columns)
        return now["taken"], place, Mux(now["blocks"] == 1, last, SIDE)

    def _rows(self, m: Module, address: Value, columns: Value) -> dict[str, list[Value]]:
        """The four values of every field of a row, two cycles after it is asked for; zeros in place of columns that
        there are not."""
        shape, banks = self.shape, 2 * len(self.shape.taken)
        m.submodules.taken = memory = Memory(shape=banks * HALF, depth=shape.rows, init=[], attrs=UNRACED)
        write, read = memory.write_port(granularity=HALF), memory.read_port()
        m.d.comb += [
            write.addr.eq(self.write.address),
            write.data.eq(self.write.data.replicate(banks)),
            write.en.eq(Mux(self.write.enable, 1 << self.write.bank, 0)),
            read.addr.eq(address),
            read.en.eq(1),
        ]
        there = later(m, Cat(columns > number for number in range(SIDE)), 1, "columns")
        out = dict[str, list[Value]]()
        for field, name in enumerate(shape.taken):
            values = [read.data.word_select(SIDE * field + number, FP32.bits) for number in range(SIDE)]
            out[name] = [
                later(m, Mux(there[number], value, 0), 1, f"{name}_{number}") for number, value in enumerate(values)
            ]
        return out

    def _keep(self, m: Module, gone: Value, row: Value) -> None:
        """The memory of what is kept."""
        shape, banks = self.shape, 2 * len(self.shape.kept)
        m.submodules.kept = memory = Memory(shape=banks * HALF, depth=shape.rows, init=[], attrs=UNRACED)
        write, read = memory.write_port(), memory.read_port()
        bank = later(m, self.read_bank, 1, "bank")
        m.d.comb += [
            write.addr.eq(gone.kept),
            write.data.eq(row),
            write.en.eq(gone.there),
            read.addr.eq(self.read_address),
            read.en.eq(1),
            self.word.eq(read.data.word_select(bank[: (banks - 1).bit_length()], HALF)),
        ]
