"""The DMA engine: loads from DRAM into the banks of memories, and stores of sums into DRAM, in the order of its queue.

The memory paces it. A load ends when the address of its last burst is taken, so the next command is offered while its
data come, and how many loads are on their way is bounded by a small memory that knows where their beats belong. A store
ends when its last beat is taken. DRAM that serves all bursts in their order, and takes a beat of a store when it serves
it, has thus the next burst before it in every cycle in which it could begin with it.

Neither AXI nor this engine orders a write behind a read that is still on its way: where the memory does not either,
nobody stores to what is being loaded. `wait_for_b` orders reads behind writes.
"""

from amaranth import Elaboratable, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from rtl.axi.master import ALWAYS, BEAT_BYTES, OKAY, master_ports
from rtl.core.bursts import BEAT_BITS, LOW_BITS, UNIT_BITS, Beats, Bursts
from rtl.core.storing import SIDE, SOURCE_BITS, STORE_WORD, StoreAhead, read_layout
from rtl.core.transfers import DmaShape
from rtl.core.walk import Walker
from rtl.formats import FP32

PREFIX = "m_axi_"
UNTIL_WRITTEN = 1  # cycles from a load's beat to its place on the write port, which has `filled` beside the last one
LEAST_LATENCY = 1  # cycles from the address of a burst to its first beat, that a memory must take
OWED_BITS = BEAT_BITS - LOW_BITS + 1  # of the number of a command's bursts
ANSWERS_BITS = 16  # of the number of bursts that were not answered


class Dma(wiring.Component):
    """command: what begins in the cycle of `go`. ends: this is the last cycle of the command.

    filled: a load's last word is on the write port; freed: a store ends and its sums are not needed any more; each has
    the tag of the command beside it. load_walks: where the beats of loads belong, the last one of a load with `last`;
    data wait where there is none. store_walks, store_words, ready_store, read, source, sums, other: as those of
    `StoreAhead`. A store may begin `STORE_LEAD` cycles after its `ready_store`; one that begins sooner only waits for
    its first beat.

    wait_for_b: a store ends only when all its bursts are answered. bus_error: a beat or a burst was answered with
    something else than OKAY since `clear`. idle: no command goes on, no data and no answer is on its way.
    """

    def __init__(self, shape: DmaShape) -> None:
        self.shape = shape
        ends = {"ends": Out(1), "filled": Out(1), "filled_tag": Out(shape.tag_bits)}
        stores = {
            "ready_store": In(1),
            "store_walks": In(stream.Signature(shape.sums.walk)),
            "store_words": In(stream.Signature(STORE_WORD)),
            "read": Out(read_layout(shape.sums)),
            "source": Out(SOURCE_BITS),
            "sums": In(ArrayLayout(FP32.bits, SIDE)),
            "other": In(8 * BEAT_BYTES),
        }
        errors = {"wait_for_b": In(1), "clear": In(1), "bus_error": Out(StructLayout({"read": 1, "write": 1}))}
        super().__init__(
            {
                "command": In(shape.command),
                "go": In(1),
                **ends,
                "freed": Out(1),
                "freed_tag": Out(shape.tag_bits),
                "load_walks": In(stream.Signature(shape.places.walk)),
                "write": Out(shape.write),
                **stores,
                **errors,
                "idle": Out(1),
                **master_ports(PREFIX),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        held, now, busy = Signal(self.shape.command), Signal(self.shape.command), Signal()
        m.submodules.bursts = bursts = Bursts()
        addressed, active = Signal(), Signal()
        m.d.comb += [
            now.eq(Mux(self.go, self.command, held)),
            active.eq(self.go | busy),
            bursts.go.eq(self.go),
            bursts.start.eq(self.command.address),
            bursts.beats.eq(self.command.beats),
            bursts.ready.eq(Mux(now.store, self._axi("awready"), self._axi("arready"))),
            addressed.eq(~bursts.valid | (bursts.ready & bursts.last)),
        ]
        m.d.sync += [held.eq(now), busy.eq(active & ~self.ends)]
        for channel, valid in (("aw", bursts.valid & now.store), ("ar", bursts.valid & ~now.store)):
            given = {"valid": valid, "addr": bursts.address, "len": bursts.length, "user": bursts.first & ~now.joins}
            m.d.comb += [self._axi(channel + name).eq(value) for name, value in (given | ALWAYS).items()]
        may_end, coming = self._load(m)
        written, unanswered = self._store(m)
        m.d.comb += [
            self.ends.eq(active & addressed & Mux(now.store, written, may_end)),
            self.freed.eq(self.ends & now.store),
            self.freed_tag.eq(now.tag),
            self.idle.eq(~active & ~coming & ~unanswered),
        ]
        for kind, channel in (("read", "r"), ("write", "b")):
            seen, wrong = self.bus_error[kind], self._axi(f"{channel}resp") != OKAY
            m.d.sync += seen.eq((seen & ~self.clear) | (self._axi(f"{channel}valid") & wrong))
        return m

    def _axi(self, name: str) -> Value:
        port: Value = getattr(self, PREFIX + name)
        return port

    def _load(self, m: Module) -> tuple[Value, Value]:
        """Returns whether a load may end, so that another one may begin, and whether data are on their way."""
        shape = self.shape
        m.submodules.walker = walker = Walker(shape.places)
        m.submodules.loads = loads = SyncFIFO(width=shape.loaded.size, depth=shape.outstanding)
        begins, takes, of = Signal(), Signal(), Signal(shape.loaded)
        place, entry = walker.places.payload, Signal(shape.loaded)
        wiring.connect(m, wiring.flipped(self.load_walks), walker.walks)
        m.d.comb += [
            begins.eq(self.go & ~self.command.store),
            *(entry[name].eq(self.command[name]) for name in shape.loaded.members),
            loads.w_en.eq(begins),
            loads.w_data.eq(entry),
            self._axi("rready").eq(walker.places.valid),
            takes.eq(self._axi("rvalid") & self._axi("rready")),
            walker.places.ready.eq(self._axi("rvalid")),
            of.eq(loads.r_data),
            loads.r_en.eq(takes & place.last),
        ]
        m.d.sync += [
            self.write.enable.eq(takes),
            *(self.write[name].eq(of[name]) for name in ("memory", "per")),
            *(self.write[name].eq(place[name]) for name in ("address", "bank", "index")),
            self.write.data.eq(self._axi("rdata")),
            self.filled.eq(takes & place.last),
            self.filled_tag.eq(of.tag),
        ]
        return loads.level + begins < shape.outstanding, (loads.level != 0) | self.write.enable

    def _store(self, m: Module) -> tuple[Value, Value]:
        """Returns whether all beats of a store are written, and whether an answer is on its way."""
        m.submodules.beats = beats = Beats()
        m.submodules.ahead = ahead = StoreAhead(self.shape.form, self.shape.sums, self.shape.ahead)
        offered, taken, answered = self._axi("awvalid"), Signal(), self._axi("bvalid")
        writes = Signal()
        # bursts whose addresses were taken, less those whose beats were: a memory may take the beats first
        owed, answers = Signal(signed(OWED_BITS + 1)), Signal(ANSWERS_BITS)
        wiring.connect(m, wiring.flipped(self.store_walks), ahead.walks)
        wiring.connect(m, wiring.flipped(self.store_words), ahead.words)
        m.d.comb += [
            ahead.ready_store.eq(self.ready_store),
            self.read.eq(ahead.read),
            self.source.eq(ahead.source),
            ahead.sums.eq(self.sums),
            ahead.other.eq(self.other),
            beats.go.eq(self.go & self.command.store),
            beats.start.eq(self.command.address[UNIT_BITS:]),
            beats.beats.eq(self.command.beats),
            taken.eq(offered & self._axi("awready")),
            writes.eq(beats.there & ((owed > 0) | ((owed == 0) & offered))),
            self._axi("wvalid").eq(writes & ahead.beats.valid),
            self._axi("wdata").eq(ahead.beats.payload),
            self._axi("wstrb").eq(-1),
            self._axi("wlast").eq(beats.ends_burst),
            ahead.beats.ready.eq(writes & self._axi("wready")),
            beats.step.eq(self._axi("wvalid") & self._axi("wready")),
            self._axi("bready").eq(1),
        ]
        m.d.sync += [
            owed.eq(owed + taken - (beats.step & beats.ends_burst)),
            answers.eq(answers + taken - answered),
        ]
        all_beats = ~beats.there | (beats.step & beats.ends_command)
        # the answer to a burst comes after its address and its last beat, so it cannot be in the cycle of either
        all_answers = ~beats.there & ~taken & ((answers == 0) | ((answers == 1) & answered))
        return Mux(self.wait_for_b, all_answers, all_beats), answers != 0
