"""What a store writes to DRAM: words out of the core's memories, fetched before the command begins.

Of sums a beat has two of neighbouring columns, or four of them that are rounded to the operand's format. Of weights it
has as many neighbours with their indices as fit, or four values alone; of masters and their states two. Beats wait in a
small memory, so the first one is there when the command begins, and one a cycle from then on.
"""

from collections.abc import Iterable
from enum import IntEnum

import numpy as np
from amaranth import Cat, Elaboratable, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from rtl.axi.master import BEAT_BYTES
from rtl.core.walk import Walk, Walker, WalkShape
from rtl.counting import later
from rtl.divider import Narrower
from rtl.formats import FP32, FloatFormat
from rtl.golden.units import narrow
from rtl.lanes import NARROWER_LATENCY

SIDE = 4  # neighbouring columns that are read at once
SOURCE_BITS = 3
STORE_WORD = StructLayout({"source": SOURCE_BITS, "more": 1})  # more: another part of the same store follows
PENDING_BITS = 8  # of the number of stores whose sums are there and not fetched
FETCH = 1 + NARROWER_LATENCY  # cycles from a place to its beat; `STORE_LEAD` has two registers more


class Source(IntEnum):
    """Where the words of a store come from."""

    SUMS = 0
    NARROW = 1  # the same, rounded to operands
    COPIES = 2  # weights with their indices, out of the north memory
    DENSE = 3  # weights alone, out of it
    MASTERS = 4  # FP32 weights and states


def width(narrows: bool) -> int:
    """Sums in a beat."""
    return SIDE if narrows else SIDE // 2


def stored(banks: NDArray[np.uint32], walks: Iterable[Walk], narrows: bool, form: FloatFormat) -> NDArray[np.uint64]:
    """The beats of a store. banks: (columns, depth) bit patterns of FP32 sums; each place is the first column's."""
    places = np.concatenate([walk.places() for walk in walks])
    columns = places[:, 1, None] + np.arange(width(narrows))
    sums = np.ascontiguousarray(banks[columns, places[:, 0, None]])
    return (narrow(sums, form) if narrows else sums).view(np.uint64)[:, 0]


def read_layout(shape: WalkShape) -> StructLayout:
    """A read of the outputs: which address of `SIDE` banks from `bank` on. enable: somebody wants to know."""
    return StructLayout({"enable": 1, "address": shape.address_bits, "bank": shape.bank_bits})


class StoreAhead(wiring.Component):
    """Fetches the sums of stores in their order, as soon as they may be fetched and there is room for them.

    ready_store: what the next store writes is there, and can be read from the next cycle on. walks: where it is; the
    last one of a store, or of a part of it, has `last`. words: one a store, or a part. read, sums: a port of the banks,
    whose sums come in the cycle after; beyond the last column they may be anything. source: which memory is read;
    other: the word that comes from one that has no sums. beats: for DRAM. depth: how many of them can wait.
    """

    def __init__(self, form: FloatFormat, shape: WalkShape, depth: int) -> None:
        self.form, self.shape, self.depth = form, shape, depth
        super().__init__(
            {
                "ready_store": In(1),
                "walks": In(stream.Signature(shape.walk)),
                "words": In(stream.Signature(STORE_WORD)),
                "read": Out(read_layout(shape)),
                "source": Out(SOURCE_BITS),
                "sums": In(ArrayLayout(FP32.bits, SIDE)),
                "other": In(8 * BEAT_BYTES),
                "beats": Out(stream.Signature(8 * BEAT_BYTES)),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.walker = walker = Walker(self.shape)
        m.submodules.waiting = waiting = SyncFIFO(width=8 * BEAT_BYTES, depth=self.depth)
        # `room` counts beats on their way as well: nothing can stop them
        pending, room = Signal(PENDING_BITS), Signal(range(self.depth + 1), init=self.depth)
        fetch, ends, leaves = Signal(), Signal(), Signal()
        place, coming = walker.places.payload, Signal(FETCH)
        wiring.connect(m, wiring.flipped(self.walks), walker.walks)
        m.d.comb += [
            fetch.eq(walker.places.valid & self.words.valid & (pending != 0) & (room != 0)),
            ends.eq(fetch & place.last),
            leaves.eq(self.beats.valid & self.beats.ready),
            walker.places.ready.eq(fetch),
            self.words.ready.eq(ends),
            self.read.enable.eq(fetch),
            self.read.address.eq(place.address),
            self.read.bank.eq(place.bank),
            self.source.eq(self.words.payload.source),
        ]
        m.d.sync += [
            pending.eq(pending + self.ready_store - (ends & ~self.words.payload.more)),
            room.eq(room + leaves - fetch),
            coming.eq(Cat(fetch, coming)),
        ]
        narrowed = []
        for number in range(SIDE):
            m.submodules[f"narrower_{number}"] = narrower = Narrower(self.form, NARROWER_LATENCY)
            m.d.comb += narrower.a.eq(self.sums[number])
            narrowed.append(narrower.p)
        read = later(m, self.source, 1, "read_source")
        whole = Mux(read == Source.SUMS, Cat(self.sums[number] for number in range(SIDE // 2)), self.other)
        wide = later(m, whole, NARROWER_LATENCY, "wide")
        narrows = later(m, self.source == Source.NARROW, FETCH, "narrows")
        with m.If(narrows):
            m.d.comb += waiting.w_data.eq(Cat(narrowed))
        with m.Else():
            m.d.comb += waiting.w_data.eq(wide)
        m.d.comb += [
            waiting.w_en.eq(coming[-1]),
            self.beats.valid.eq(waiting.r_rdy),
            self.beats.payload.eq(waiting.r_data),
            waiting.r_en.eq(self.beats.ready),
        ]
        return m
