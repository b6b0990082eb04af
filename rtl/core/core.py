"""The core: control, DMA, transposer, SORE lanes, update engine and the array between their banks. It carries out bound
commands.

Every engine has a queue of words: what control sees of a command, and what the engine does for it. A word is taken when
its command begins, but for the array's, which are prepared ahead, and for those of SORE and DMA where a command has
several: the others follow by themselves. Walks have queues of their own. Whoever feeds the queues says what happens,
and nothing else does: there is no other state than slots, memories and the sums in the array.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import final

from amaranth import Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import enum, stream, wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from rtl.axi.master import master_ports
from rtl.core.array import CoreArray, CoreShape, Mistimed
from rtl.core.control import ControlShape, CoreControl
from rtl.core.dma import PREFIX, Dma
from rtl.core.memories import Memories
from rtl.core.runs import sorting_layout
from rtl.core.sorting import Sorter
from rtl.core.storing import STORE_WORD
from rtl.core.transfers import DmaShape
from rtl.core.transposer import Transposer, turning_layout
from rtl.core.updating import Updater, UpdateShape
from rtl.counting import later
from rtl.formats import FloatFormat
from rtl.lanes import SoreParameters, UpdateParameters
from rtl.placing import Place, as_submodule
from rtl.run import Error
from rtl.timing import STORE_LEAD

ENGINES = ("dram", "sore", "transposer", "array", "wuve")  # in the order of their numbers
DRAM, SORE, TRANSPOSER, ARRAY, WUVE = range(5)
GIVING = 8  # runs whose sums are on their way to the banks


class Fault(enum.Enum, shape=3):
    """Why the core stopped."""

    NONE = 0
    REFUSED = 1  # a run that the array cannot carry out
    EARLY = 2  # a run that took fewer cycles than its command says
    LATE = 3  # or more
    READ = 4  # DRAM answered a read with an error
    WRITE = 5  # or a write


@final
@dataclass(frozen=True)
class CoreLayout:
    """Everything that the core's sizes follow from: the array with its banks, the lanes of SORE, the side of the
    transposer, and the optimizer of the update engine, '' where there is none.
    """

    shape: CoreShape
    lanes: int = 4
    side: int = 4
    optimizer: str = ""

    @cached_property
    def control(self) -> ControlShape:
        return ControlShape(engines=len(ENGINES))

    @cached_property
    def dma(self) -> DmaShape:
        form = self.shape.array.operand
        assert isinstance(form, FloatFormat)
        walks, tag_bits = self.shape.walks, self.control.buffers
        return DmaShape(form, walks, walks, per_bits=1, tag_bits=tag_bits, outstanding=64)

    @property
    def raw_bits(self) -> int:
        return (self.shape.raw - 1).bit_length()

    def sorter(self) -> Sorter:
        p, form = self.shape.array, self.shape.array.operand
        assert isinstance(form, FloatFormat)
        return Sorter(form, self.lanes, p.weights, p.m, self.shape.walks, self.raw_bits)

    def transposer(self) -> Transposer:
        return Transposer(self.side, self.shape.walks, self.raw_bits)

    @cached_property
    def sorting(self) -> StructLayout:
        """A command of the SORE lanes."""
        p, form = self.shape.array, self.shape.array.operand
        return sorting_layout(SoreParameters(form, p.weights, p.m), self.raw_bits, self.shape.walks.turn_bits)

    @property
    def turning(self) -> StructLayout:
        """A command of the transposer."""
        return turning_layout(self.raw_bits)

    @cached_property
    def updates(self) -> UpdateShape | None:
        """Sizes of the update engine. Raises UserError for an optimizer that it does not have."""
        if not self.optimizer:
            return None
        lane = UpdateParameters(self.optimizer, self.shape.array.format)
        return UpdateShape(lane, self.shape.updates, self.shape.walks, self.raw_bits)

    @cached_property
    def words(self) -> tuple[StructLayout, ...]:
        """A word of each engine's queue; frees: buffers of which a slot is given back at its end.

        more: the next word belongs to the same command. stores: a store waits for what this command leaves.
        """
        control = {"control": self.control.command, "frees": self.control.buffers}
        update = StructLayout({"nothing": 1}) if self.updates is None else self.updates.command
        return (
            StructLayout({**control, "more": 1, "does": self.dma.command}),
            StructLayout({**control, "more": 1, "stores": 1, "does": self.sorting}),
            StructLayout({**control, "does": self.turning}),
            StructLayout({**control, "stores": 1, "does": self.shape.work}),
            StructLayout({**control, "stores": 1, "does": update}),
        )

    @property
    def constants(self) -> StructLayout:
        """What a step of the optimizer is told."""
        return StructLayout({"nothing": 1}) if self.updates is None else self.updates.constants


class Core(wiring.Component):
    """dram, sore, transposer, array, wuve: the queues of engines. load_walks, store_walks, sort_walks, turn_walks:
    places of their words. store_words: where those of a store come from, and how they are rounded. constants: of the
    optimizer. ops: slots of the buffers, and active engines.

    go: engines whose command begins in this cycle. running, over: an op is carried out, and this is its last cycle.
    lacking: buffers without a slot for an engine that could begin. fault: why everything stopped; run_error: why a run
    was refused. wait_for_b: stores end with the answer of the memory.
    """

    def __init__(self, layout: CoreLayout, place: Place = as_submodule) -> None:
        self.layout, self.place = layout, place
        walks = In(stream.Signature(layout.shape.walks.walk))
        queues = {name: In(stream.Signature(word)) for name, word in zip(ENGINES, layout.words, strict=True)}
        names = ("load_walks", "store_walks", "sort_walks", "turn_walks")
        self.stored = list[Value]()  # what the next store writes is there
        super().__init__(
            {
                **queues,
                **dict.fromkeys(names, walks),
                "store_words": In(stream.Signature(STORE_WORD)),
                "constants": In(stream.Signature(layout.constants)),
                "ops": In(stream.Signature(layout.control.op)),
                "go": Out(len(ENGINES)),
                "running": Out(1),
                "over": Out(1),
                "lacking": Out(ArrayLayout(layout.control.buffers, len(ENGINES))),
                "fault": Out(Fault),
                "run_error": Out(Error),
                "wait_for_b": In(1),
                **master_ports(PREFIX),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m, layout = Module(), self.layout
        m.submodules.control = self.control = control = CoreControl(layout.control)
        m.submodules.dma = self.dma = dma = Dma(layout.dma)
        m.submodules.sorter = self.sorter = layout.sorter()
        m.submodules.turner = self.turner = layout.transposer()
        m.submodules.array_banks = self.core_array = CoreArray(layout.shape, self.place)
        if layout.updates is not None:
            m.submodules.updater = self.updater = Updater(layout.updates, self.place)
        settled = self.core_array.settled
        m.d.comb += [
            control.ops.payload.eq(self.ops.payload),
            control.ops.valid.eq(self.ops.valid & settled),
            self.ops.ready.eq(control.ops.ready & settled),
        ]
        m.d.comb += [self.go.eq(control.go), self.running.eq(control.running), self.over.eq(control.over)]
        m.d.comb += self.lacking.eq(control.lacking)
        for name, member in master_ports(PREFIX).items():
            ours, its = getattr(self, name), getattr(dma, name)
            m.d.comb += its.eq(ours) if member.flow is wiring.Flow.In else ours.eq(its)
        stopped = self._faults(m)
        filled, freed = self._dma(m, stopped)
        engines = [self._sorter(m, stopped), self._transposer(m, stopped), self._array(m, stopped)]
        if layout.updates is not None:
            engines.append(self._update(m, stopped))
        for made, given in engines:
            filled, freed = filled | made, freed | given
        m.d.comb += [control.filled.eq(filled), control.freed.eq(freed), dma.ready_store.eq(Cat(*self.stored).any())]
        updater = None if layout.updates is None else self.updater
        Memories(dma, self.turner, self.sorter, self.core_array, updater, layout.shape.raw).join(m)
        return m

    def _faults(self, m: Module) -> Value:
        """Whether nothing begins any more."""
        array, bus = self.core_array, self.dma.bus_error
        m.d.comb += self.run_error.eq(array.error)
        for holds, why in (
            (array.error != Error.NONE, Fault.REFUSED),
            (array.mistimed == Mistimed.EARLY, Fault.EARLY),
            (array.mistimed == Mistimed.LATE, Fault.LATE),
            (bus.read, Fault.READ),
            (bus.write, Fault.WRITE),
        ):
            with m.If(holds & (self.fault == Fault.NONE)):
                m.d.sync += self.fault.eq(why)
        return self.fault != Fault.NONE

    def _offer(self, m: Module, number: int, word: Value, valid: Value) -> None:
        """Put what control sees of a word before it."""
        commands = self.control.commands[number]
        m.d.comb += [commands.payload.eq(word.control), commands.valid.eq(valid)]

    def _dma(self, m: Module, stopped: Value) -> tuple[Value, Value]:
        """Returns the buffers that are filled and freed in this cycle, as do those below.

        A command may move what does not lie together in DRAM, a word of the queue for each part.
        """
        dma, queue = self.dma, self.dram
        takes, done = self._several(m, "dram", DRAM, queue, stopped, dma.ends)
        wiring.connect(m, wiring.flipped(self.load_walks), dma.load_walks)
        wiring.connect(m, wiring.flipped(self.store_walks), dma.store_walks)
        wiring.connect(m, wiring.flipped(self.store_words), dma.store_words)
        m.d.comb += [
            dma.command.eq(queue.payload.does),
            dma.go.eq(takes),
            dma.wait_for_b.eq(self.wait_for_b),
            self.control.ends[DRAM].eq(done),
        ]
        return Mux(dma.filled, dma.filled_tag, 0), Mux(dma.freed, dma.freed_tag, 0)

    def _sorter(self, m: Module, stopped: Value) -> tuple[Value, Value]:
        sorter, queue = self.sorter, self.sore
        takes, done = self._several(m, "sore", SORE, queue, stopped, sorter.ends)
        wiring.connect(m, wiring.flipped(self.sort_walks), sorter.walks)
        m.d.comb += [
            sorter.command.eq(queue.payload.does),
            sorter.go.eq(takes),
            self.control.ends[SORE].eq(done),
        ]
        return self._slots(m, "sore", queue.payload, self.control.go[SORE], sorter.filled, done)

    def _several(
        self, m: Module, name: str, number: int, queue: stream.Interface, stopped: Value, ends: Value
    ) -> tuple[Value, Value]:
        """A command of several words, each of which begins when the one before has ended. Returns when a word is taken,
        and when the last one has ended.
        """
        inside, busy, more = (Signal(name=f"{name}_{what}") for what in ("inside", "busy", "more"))
        takes, done = Signal(name=f"{name}_takes"), Signal(name=f"{name}_done")
        self._offer(m, number, queue.payload, queue.valid & ~stopped & ~inside)
        m.d.comb += [
            takes.eq(self.control.go[number] | (inside & ~busy & queue.valid)),
            queue.ready.eq(takes),
            done.eq(ends & ~Mux(takes, queue.payload.more, more)),
        ]
        m.d.sync += busy.eq((busy | takes) & ~ends)
        with m.If(takes):
            m.d.sync += [inside.eq(queue.payload.more), more.eq(queue.payload.more)]
        return takes, done

    def _update(self, m: Module, stopped: Value) -> tuple[Value, Value]:
        updater, queue, go = self.updater, self.wuve, self.control.go[WUVE]
        told = ~queue.payload.does.fresh | self.constants.valid
        self._offer(m, WUVE, queue.payload, queue.valid & told & ~stopped)
        wiring.connect(m, wiring.flipped(self.constants), updater.constants)
        m.d.comb += [
            queue.ready.eq(go),
            updater.command.eq(queue.payload.does),
            updater.go.eq(go),
            self.control.ends[WUVE].eq(updater.ends),
        ]
        return self._slots(m, "wuve", queue.payload, go, updater.filled, updater.ends)

    def _transposer(self, m: Module, stopped: Value) -> tuple[Value, Value]:
        turner, queue, go = self.turner, self.transposer, self.control.go[TRANSPOSER]
        self._offer(m, TRANSPOSER, queue.payload, queue.valid & ~stopped)
        wiring.connect(m, wiring.flipped(self.turn_walks), turner.walks)
        m.d.comb += [
            queue.ready.eq(go),
            turner.command.eq(queue.payload.does),
            turner.go.eq(go),
            self.control.ends[TRANSPOSER].eq(turner.ends),
        ]
        return self._slots(m, "turn", queue.payload, go, turner.filled, turner.ends)

    def _slots(self, m: Module, name: str, word: Value, go: Value, filled: Value, ends: Value) -> tuple[Value, Value]:
        """Slots that an engine fills when its work is written, which is after its end, and frees at its end.

        All its commands of an op fill the same buffer, and it is filled before the op is over, so that one register
        will do. Where a store waits for them, control hears of them when the DMA has the first word.
        """
        fills, frees = (Signal(self.layout.control.buffers, name=f"{name}_{what}") for what in ("fills", "frees"))
        freed = Mux(ends, Mux(go, word.frees, frees), 0)
        with m.If(go):
            m.d.sync += [fills.eq(word.control.fills), frees.eq(word.frees)]
        if "stores" not in word.shape().members:
            return Mux(filled, fills, 0), freed
        stores = Signal(name=f"{name}_stores")
        with m.If(go):
            m.d.sync += stores.eq(word.stores)
        self.stored.append(filled & stores)
        told = later(m, Mux(filled & stores, fills, 0), STORE_LEAD - 1, f"{name}_told")
        return Mux(filled & ~stores, fills, 0) | told, freed

    def _array(self, m: Module, stopped: Value) -> tuple[Value, Value]:
        """A run's word is taken ahead, so that it is prepared when its command may begin."""
        array, queue, go = self.core_array, self.array, self.control.go[ARRAY]
        head, there, buffers = (
            Signal.like(queue.payload, name="head"),
            Signal(name="head_there"),
            self.layout.control.buffers,
        )
        frees = Signal(buffers, name="array_frees")
        m.submodules.giving = giving = SyncFIFOBuffered(width=buffers + 2, depth=GIVING)
        self._offer(m, ARRAY, head, there & array.there & ~stopped)
        m.d.comb += [
            array.works.payload.eq(queue.payload.does),
            array.works.valid.eq(queue.valid),
            queue.ready.eq(array.works.ready),
            array.go.eq(go),
            self.control.ends[ARRAY].eq(array.ends),
            giving.w_data.eq(Cat(head.control.fills, head.stores, head.does.drains)),
            giving.w_en.eq(go & head.does.gives),
            giving.r_en.eq(array.filled),
        ]
        with m.If(go):
            m.d.sync += [there.eq(0), frees.eq(head.frees)]
        with m.If(queue.valid & queue.ready):
            m.d.sync += [head.eq(queue.payload), there.eq(1)]
        fills, stores, drains = giving.r_data[:buffers], giving.r_data[buffers], giving.r_data[buffers + 1]
        self.stored.append(array.filled & stores)
        # Control hears of sums when the DMA has the first word of their store. Those that were shifted out of the array
        # are there a cycle sooner than those that come from its adders, and wait for it.
        sooner = later(m, Mux(array.filled & drains, fills, 0), 1, "shifted")
        filled = later(m, Mux(array.filled & ~drains, fills, 0) | sooner, STORE_LEAD - 1, "given")
        return filled, Mux(array.ends, Mux(go, head.frees, frees), 0)
