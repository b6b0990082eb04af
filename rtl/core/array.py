"""The core's array with its banks: west and north are read, sums are written, each run from addresses on.

The array is that of `rtl.array`, but for when a run starts. There, words come in streams and a run waits until all that
it takes is there; here, everything is in the banks when the core's control says `go`, and the words follow in time. A
row's words are on their way `CORE_LAG` cycles before the first row is told to fetch them.

A run comes with the cycles that the simulator has for it, and says in its last one that it ends, so that the next can
follow at once. The sequencer knows better than anybody when a run ends: if it does not end then, this is an error.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple, final

from amaranth import Cat, Const, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import enum, stream, wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory, ReadPort
from amaranth.lib.wiring import In, Out

from rtl.control import order, run_layout
from rtl.core.bound import NOTHING, BoundRun
from rtl.core.ported import Reading, TwiceWritten
from rtl.core.streaming import WAITING, BankReader, BankWriter, read_job, write_job
from rtl.core.walk import WalkShape
from rtl.counting import UNRACED, Delay, later
from rtl.edges import Edges
from rtl.mesh import Mesh
from rtl.parameters import Parameters
from rtl.placing import Place, as_submodule
from rtl.run import Error, run_bits
from rtl.sequencer import Sequencer
from rtl.starting import Starter
from rtl.timing import COMPARE, CORE_EDGE, CORE_LAG
from workloads.errors import UserError

TICK_BITS = 24
SUM = 32


class Mistimed(enum.Enum, shape=2):
    """Whether a run took other cycles than its command says."""

    NO = 0
    EARLY = 1
    LATE = 2


@final
@dataclass(frozen=True)
class CoreShape:
    """A core's array, and how deep its banks are: words of operands, weights, sums, raw words, and of the update engine
    rows of four weights."""

    array: Parameters
    west: int
    north: int
    output: int
    raw: int
    updates: int = 0

    @property
    def deepest(self) -> int:
        """Of its memories that walks lead through."""
        return max(self.west, self.north, self.output, self.raw, self.updates)

    @property
    def walks(self) -> WalkShape:
        """What its walks can count."""
        banks = max(self.array.rows, self.array.cols) + 4  # a word of neighbouring banks may begin at the last one
        return WalkShape(self.address_bits, banks.bit_length(), max(16, self.deepest.bit_length()))

    @property
    def address_bits(self) -> int:
        """Bits of an address in any of its memories."""
        return (self.deepest - 1).bit_length()

    @property
    def whole(self) -> Parameters:
        """The array's parameters to those who count a run: what the banks hold, not what the edges do."""
        deepest = 1 << max(self.west, self.north, self.output).bit_length()
        return replace(self.array, row_depth=deepest, column_depth=deepest, results=deepest)

    @property
    def edge(self) -> Parameters:
        """The same to its edges."""
        group, sums = 1 << (2 * self.array.group_words - 1).bit_length(), 1 << (self.array.rows - 1).bit_length()
        depth = max(CORE_EDGE, group, sums)
        return replace(self.array, row_depth=depth, column_depth=depth, results=depth)

    @property
    def reads(self) -> StructLayout:
        return read_job(self.address_bits, 16)

    @property
    def writes(self) -> StructLayout:
        return write_job(self.address_bits, 16)

    @property
    def work(self) -> StructLayout:
        """A run, its cycles, and what is read and written for it; drains: it is only a tile's way out."""
        jobs = {"west": self.reads, "north": self.reads, "seeds": self.reads, "sums": self.writes}
        flags = {"used": 8, "drains": 1, "gives": 1}
        return StructLayout({"run": run_layout(), "ticks": TICK_BITS, **flags, **jobs})

    def bits(self, work: BoundRun, ticks: int) -> int:
        """A bound run as hardware takes it. Raises UserError for what it cannot count."""
        run, rows, width = work.run, self.array.rows, (1 << 16) - 1
        folds = bool(run.stationary_weights)
        drains = bool(run.drain) and not folds
        turns = run.interleave + 1
        number = run.positions + 1 if folds else work.rows
        if folds:
            sums = {"address": work.out, "down": 0, "count": run.positions, "blocks": 0, "skip": 0}
        elif run.share_weights:
            count = rows * turns
            top = work.out + work.rows - 1
            sums = {"address": top, "down": 1, "count": count - 1, "blocks": 0, "skip": count - work.rows}
        else:
            top = work.out + turns * work.rows - 1
            sums = {"address": top, "down": 1, "count": rows - 1, "blocks": turns - 1, "skip": rows - work.rows}
        weights = run.column_weights + 1
        real = work.used * (run.kept + 1) if folds else weights
        west = {"address": work.west, "count": run.row_words, "real": run.row_words + 1}
        north = {"address": work.north, "count": run.column_weights, "real": real}
        seeds = {"address": work.seed, "count": (number - 1) & width, "real": number}
        # a tile's way out is a run with a group, which is never begun: one without any is a mistake elsewhere
        told = replace(run, groups=1) if drains else run
        flags = {"used": work.used if folds else rows, "drains": int(drains), "gives": int(drains or folds)}
        jobs = {"west": west, "north": north, "seeds": seeds, "sums": sums}
        return packed_bits(self.work, {"run": run_bits(told), "ticks": ticks, **flags, **jobs})


def packed_bits(layout: StructLayout, fields: dict[str, object]) -> int:
    """A struct as one number; Amaranth's own constants take far longer where there are many.

    Raises UserError for a number that its field does not hold.
    """
    out = 0
    for name, field in layout:
        value = fields[name]
        if isinstance(value, dict):
            assert isinstance(field.shape, StructLayout)
            value = packed_bits(field.shape, value)
        assert isinstance(value, int)
        if value < 0 or value >> field.width:
            raise UserError(f"core: {name} of {value} is more than this core can count")
        out |= value << field.offset
    return out


class Writes(NamedTuple):
    """Ports through which others write into the banks: a word to one bank (west), or to as many neighbouring banks as
    `lanes` says (north, output)."""

    west: StructLayout
    north: StructLayout
    output: StructLayout

    @classmethod
    def of(cls, shape: CoreShape) -> "Writes":
        p, walk = shape.array, shape.walks
        place = {"enable": 1, "address": walk.address_bits, "bank": walk.bank_bits}
        return cls(
            StructLayout({**place, "data": p.west_link * p.operand.bits}),
            StructLayout({**place, "lanes": 3, "data": 4 * p.weight_bits}),
            StructLayout({**place, "lanes": 3, "data": 2 * SUM}),
        )


class CoreArray(wiring.Component):
    """works: runs in order. settled: what was inside at reset has passed by. there: the next run is prepared. go: it
    begins, in this cycle. ends: this is its last.

    write_west, write_north, write_output: into the banks. read, sums: four neighbouring sums of an address, a cycle
    later; weights: the same of the north memory in a cycle with `copying`, when no run goes on. filled: the last sum of
    a run that gives any is in the banks. error: a run was refused; mistimed: or it took other cycles than it says.
    """

    def __init__(self, shape: CoreShape, place: Place = as_submodule) -> None:
        self.shape, self.place = shape, place
        walk, writes = shape.walks, Writes.of(shape)
        read = StructLayout({"address": walk.address_bits, "bank": walk.bank_bits})
        super().__init__(
            {
                "works": In(stream.Signature(shape.work)),
                "settled": Out(1),
                "there": Out(1),
                "go": In(1),
                "ends": Out(1),
                "filled": Out(1),
                "write_west": In(writes.west),
                "write_north": In(writes.north),
                "write_output": In(writes.output),
                "read": In(read),
                "sums": Out(4 * SUM),
                "copying": In(1),
                "weights": Out(4 * shape.array.weight_bits),
                "error": Out(Error),
                "mistimed": Out(Mistimed),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m, shape, edge = Module(), self.shape, self.shape.edge
        clear = self._settled(m)
        m.submodules.starter = starter = Starter(shape.whole)
        m.submodules.sequencer = self.sequencer = sequencer = Sequencer(shape.whole, splits=True)
        m.submodules.mesh = mesh = Mesh(edge, self.place)
        work = Signal(shape.work)
        m.d.comb += [
            starter.runs.payload.eq(self.works.payload.run),
            starter.runs.valid.eq(self.works.valid),
            self.works.ready.eq(starter.runs.ready),
            starter.enough.eq(1),
            starter.clear.eq(clear),
            starter.takes.eq(sequencer.takes),
            self.settled.eq(later(m, ~clear, COMPARE + 2, "settled")),  # so that the first run is prepared, too
            self.there.eq(starter.ready),
            sequencer.next.eq(starter.next),
            sequencer.only_drain.eq(work.drains),
            sequencer.ready.eq(starter.ready & self.go),
            sequencer.stop.eq(clear),
        ]
        with m.If(self.works.valid & self.works.ready):
            m.d.sync += work.eq(self.works.payload)
        with m.If(starter.error != Error.NONE):
            m.d.sync += self.error.eq(starter.error)
        self._time(m, work)
        told, fetch = self._lead(m, clear)
        edges = Edges(m, edge, self.place, mesh, clear)
        west, north, seeds, results = self._banks(m, work)
        rows = edges.rows(west, told, fetch, Signal(edge.pointer_bits(edge.row_depth), name="wanted_words"))
        edges.columns(north, seeds, results, told, rows, Signal.like(starter.wanted, name="wanted_sums"))
        return m

    def _settled(self, m: Module) -> Value:
        """Whether whatever was inside has not passed by yet."""
        left = Signal(range(self.shape.edge.after_reset + 1), init=self.shape.edge.after_reset)
        clear = Signal(init=1)
        with m.If(left != 0):
            m.d.sync += left.eq(left - 1)
        m.d.sync += clear.eq(left != 0)
        return clear

    def _time(self, m: Module, work: Value) -> None:
        """The run's cycles count down; the sequencer must be done with it in the cycle after the last one."""
        left, running, due = Signal(TICK_BITS), Signal(), Signal()
        m.d.comb += self.ends.eq((running & (left == 1)) | (self.go & (work.ticks == 1)))
        m.d.sync += [left.eq(Mux(self.go, work.ticks - 1, left - (left != 0))), due.eq(self.ends)]
        with m.If(self.ends):
            m.d.sync += running.eq(0)
        with m.Elif(self.go):
            m.d.sync += running.eq(1)
        sequencer = self.sequencer
        with m.If(due & ~sequencer.leaves):
            m.d.sync += self.mistimed.eq(Mux(sequencer.active, Mistimed.LATE, Mistimed.EARLY))

    def _lead(self, m: Module, clear: Value) -> tuple[Value, Value]:
        """Orders and fetches, so much later that the words are at the edges."""
        p, sequencer = self.shape.edge, self.sequencer
        m.submodules.lead = lead = Delay(order(p), p.fetch_lead + CORE_LAG)
        m.submodules.fetch_lag = fetch = Delay(sequencer.fetch.shape(), CORE_LAG)
        m.d.comb += [lead.i.eq(sequencer.told), lead.clear.eq(clear)]
        m.d.comb += [fetch.i.eq(sequencer.fetch), fetch.clear.eq(clear)]
        return lead.o, fetch.o

    def _banks(self, m: Module, work: Value) -> tuple[list[stream.Interface], ...]:
        """The memories with who reads and writes them; returns the streams of the array's edges."""
        shape, p, sequencer = self.shape, self.shape.array, self.sequencer
        starts = sequencer.takes
        # sums follow the orders, which come so much later
        m.submodules.giving = giving = Delay(StructLayout({"starts": 1, "work": shape.work}), p.fetch_lead + CORE_LAG)
        m.d.comb += [giving.i.starts.eq(starts), giving.i.work.eq(work), giving.clear.eq(0)]
        late = giving.o.work
        seeding: Value = self._seeding(m, work)
        west, north, seeds, results, done = [], [], [], [], list[Value]()
        weights = list[Value]()
        for number in range(p.rows):
            bits = p.west_link * p.operand.bits
            memory = Memory(shape=bits, depth=shape.west, init=[], attrs=UNRACED)
            reader = BankReader(bits, shape.address_bits, 16)
            m.submodules[f"west_{number}"], m.submodules[f"west_reader_{number}"] = memory, reader
            self._read(m, memory, reader)
            write = memory.write_port()
            m.d.comb += [
                write.addr.eq(self.write_west.address),
                write.data.eq(self.write_west.data),
                write.en.eq(self.write_west.enable & (self.write_west.bank == number)),
                reader.jobs.payload.eq(work.west),
                reader.jobs.valid.eq(starts & ~work.drains),
            ]
            with m.If(number >= work.used):
                m.d.comb += reader.jobs.payload.real.eq(0)
            west.append(reader.o)
        for number in range(p.cols):
            memory = Memory(shape=p.weight_bits, depth=shape.north, init=[], attrs=UNRACED)
            reader = BankReader(p.weight_bits, shape.address_bits, 16, NOTHING)
            m.submodules[f"north_{number}"], m.submodules[f"north_reader_{number}"] = memory, reader
            port = self._read(m, memory, reader)
            with m.If(self.copying):
                m.d.comb += [port.addr.eq(self.read.address), port.en.eq(1)]
            weights.append(port.data)
            self._lanes(m, memory.write_port(), self.write_north, number, 4)
            m.d.comb += [reader.jobs.payload.eq(work.north), reader.jobs.valid.eq(starts & ~work.drains)]
            north.append(reader.o)
        sums = []
        for number in range(p.cols):
            memory = TwiceWritten(SUM, shape.output)
            reader, writer = (kind(SUM, shape.address_bits, 16) for kind in (BankReader, BankWriter))
            m.submodules[f"output_{number}"] = memory
            m.submodules[f"seed_reader_{number}"], m.submodules[f"sum_writer_{number}"] = reader, writer
            self._read(m, memory, reader)
            other, write = memory.read_port(), memory.write_port()
            self._lanes(m, memory.write_port(), self.write_output, number, 2)
            m.d.comb += [
                reader.jobs.payload.eq(seeding.job),
                reader.jobs.valid.eq(seeding.valid),
                writer.jobs.payload.eq(late.sums),
                writer.jobs.valid.eq(giving.o.starts & late.gives),
                write.addr.eq(writer.address),
                write.data.eq(writer.data),
                write.en.eq(writer.enable),
                other.addr.eq(self.read.address),
                other.en.eq(1),
            ]
            next_ = Signal.like(seeding, name=f"seeding_{number}")
            m.d.sync += next_.eq(seeding)
            seeding = next_
            sums.append(other.data)
            done.append(writer.done)
            seeds.append(reader.o)
            results.append(writer.i)
        bank = Signal.like(self.read.bank)
        m.d.sync += [bank.eq(self.read.bank), self.filled.eq(done[-1])]
        for out, found in ((self.sums, sums), (self.weights, weights)):
            width = len(out) // 4
            m.d.comb += out.eq(Cat(*found, Const(0, len(out))).bit_select(bank * width, len(out)))
        return west, north, seeds, results

    def _seeding(self, m: Module, work: Value) -> Value:
        """Tells the first column to read a run's seeds, as late as it can: a seed may be a sum of the run before.

        That one's last sum is in its bank some cycles after the run's end, that of the next column a cycle later. The
        column reads when it is told to send the first seed down, which it does `input_latency` cycles later.
        """
        shape, p, sequencer = self.shape, self.shape.array, self.sequencer
        m.submodules.seed_jobs = jobs = SyncFIFOBuffered(width=shape.reads.size, depth=WAITING)
        m.submodules.seed_lead = lead = Delay(StructLayout({"first": 1}), p.fetch_lead + CORE_LAG)
        begun = Signal(name="seeds_begun")
        out = Signal(StructLayout({"valid": 1, "job": shape.reads}), name="seeding")
        with m.If(sequencer.takes):
            m.d.sync += begun.eq(0)
        with m.Elif(sequencer.told.seed):
            m.d.sync += begun.eq(1)
        m.d.comb += [
            jobs.w_data.eq(work.seeds),
            jobs.w_en.eq(sequencer.takes & work.run.stationary_weights & work.run.seed),
            lead.i.first.eq(sequencer.told.seed & ~begun),
            lead.clear.eq(0),
            jobs.r_en.eq(lead.o.first),
            out.valid.eq(lead.o.first),
            out.job.eq(jobs.r_data),
        ]
        return out

    def _read(self, m: Module, memory: Memory | TwiceWritten, reader: BankReader) -> ReadPort | Reading:
        port = memory.read_port()
        m.d.comb += [port.addr.eq(reader.address), port.en.eq(reader.enable), reader.data.eq(port.data)]
        return port

    def _lanes(self, m: Module, port: object, write: Value, number: int, most: int) -> None:
        """A bank's part of a word for neighbouring ones."""
        lane = Signal(range(-64, 64), name=f"lane_{number}")
        width = len(write.data) // most
        m.d.comb += [
            lane.eq(number - write.bank),
            port.addr.eq(write.address),  # type: ignore[attr-defined]
            port.data.eq(write.data.word_select(lane[:2], width)),  # type: ignore[attr-defined]
            port.en.eq(write.enable & (lane >= 0) & (lane < write.lanes)),  # type: ignore[attr-defined]
        ]
