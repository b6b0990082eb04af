"""Who writes into which memory of the core, and who reads it.

In an op, a memory is filled either by the DMA alone or by what stands behind another one: the transposer and the SORE
lanes behind the raw memory, the update engine before it. A store reads the banks of the sums, the copies of weights in
the north memory, or what the update engine keeps.
"""

from dataclasses import dataclass
from typing import final

from amaranth import Cat, Module, Mux, Signal, Value

from rtl.core.array import SUM, CoreArray
from rtl.core.bound import CoreMemory
from rtl.core.dma import Dma
from rtl.core.engine import WORD_BITS
from rtl.core.raw import RawMemory
from rtl.core.sorting import Sorter
from rtl.core.storing import Source
from rtl.core.transposer import Transposer
from rtl.core.updating import Updater
from rtl.counting import later
from rtl.parameters import Parameters

SPARSE, DENSE = range(2)  # what the words of a load into the north memory are: weights with indices, or without


@final
@dataclass(frozen=True)
class Memories:
    """The engines around the memories; raw: words of the raw memory."""

    dma: Dma
    turner: Transposer
    sorter: Sorter
    array: CoreArray
    updater: Updater | None
    raw: int

    def join(self, m: Module) -> None:
        """Connect them."""
        self._raw(m)
        self._west(m)
        self._north(m)
        self._stored(m)

    def _loads(self, memory: CoreMemory) -> Value:
        """A word from DRAM comes for it."""
        write = self.dma.write
        found: Value = write.enable & (write.memory == memory)
        return found

    def _raw(self, m: Module) -> None:
        dma, turner, sorter = self.dma, self.turner, self.sorter
        m.submodules.raw = raw = RawMemory(self.raw)
        turns, turned = Signal(name="turns"), Signal(name="turned_last")  # the transposer was the last to begin
        m.d.comb += turns.eq(Mux(turner.go, 1, Mux(sorter.go, 0, turned)))
        m.d.sync += turned.eq(turns)
        m.d.comb += [
            raw.write_address.eq(dma.write.address),
            raw.write_data.eq(dma.write.data),
            raw.write.eq(self._loads(CoreMemory.RAW)),
            raw.address.eq(Mux(turns, turner.raw_address, sorter.raw_address)),
            raw.turned.eq(~turns & sorter.raw_turned),
            turner.raw_data.eq(raw.data),
            sorter.raw_data.eq(raw.data),
        ]
        if self.updater is None:
            return
        with m.If(self.updater.raw.enable):
            m.d.comb += [
                raw.write_address.eq(self.updater.raw.address),
                raw.write_data.eq(self.updater.raw.data),
                raw.write.eq(1),
            ]

    def _west(self, m: Module) -> None:
        dma, other, port = self.dma, self.turner.write, self.array.write_west
        m.d.comb += [
            port.enable.eq(self._loads(CoreMemory.WEST) | other.enable),
            port.address.eq(Mux(other.enable, other.address, dma.write.address)),
            port.bank.eq(Mux(other.enable, other.bank, dma.write.bank)),
            port.data.eq(Mux(other.enable, other.data, dma.write.data)),
        ]

    def _north(self, m: Module) -> None:
        dma, sorter, port = self.dma, self.sorter, self.array.write_north
        p = self.array.shape.array
        sparse, other = sparse_lanes(p), sorter.write
        dense = Cat(
            Cat(dma.write.data.word_select(lane, p.operand.bits), dma.write.index[: p.index_bits]) for lane in range(4)
        )
        is_dense = dma.write.per == DENSE
        loaded = Mux(is_dense, dense, dma.write.data[: sparse * p.weight_bits])
        m.d.comb += [
            port.enable.eq(self._loads(CoreMemory.NORTH) | other.enable),
            port.address.eq(Mux(other.enable, other.address, dma.write.address)),
            port.bank.eq(Mux(other.enable, other.bank, dma.write.bank)),
            port.data.eq(Mux(other.enable, other.weights.as_value(), loaded)),
            port.lanes.eq(Mux(other.enable, sorter.lanes, Mux(is_dense, 4, sparse))),
        ]

    def _stored(self, m: Module) -> None:
        """The banks of the sums, and what a store writes."""
        dma, array, port = self.dma, self.array, self.array.write_output
        p = array.shape.array
        weights = [array.weights.word_select(lane, p.weight_bits) for lane in range(4)]
        read = later(m, dma.source, 1, "stored_source")
        m.d.comb += [
            port.enable.eq(self._loads(CoreMemory.OUTPUT)),
            port.address.eq(dma.write.address),
            port.bank.eq(dma.write.bank),
            port.lanes.eq(WORD_BITS // SUM),
            port.data.eq(dma.write.data),
            array.read.address.eq(dma.read.address),
            array.read.bank.eq(dma.read.bank),
            array.copying.eq(dma.read.enable & ((dma.source == Source.COPIES) | (dma.source == Source.DENSE))),
            dma.sums.eq(array.sums),
            dma.other.eq(Cat(weights[: sparse_lanes(p)])),
        ]
        with m.Switch(read):
            with m.Case(Source.DENSE):
                m.d.comb += dma.other.eq(Cat(weight[: p.operand.bits] for weight in weights))
            if self.updater is not None:
                with m.Case(Source.MASTERS):
                    m.d.comb += dma.other.eq(self.updater.word)
        if self.updater is None:
            return
        write = self.updater.write
        m.d.comb += [
            *(write[name].eq(dma.write[name]) for name in ("address", "bank", "data")),
            write.enable.eq(self._loads(CoreMemory.UPDATE)),
            self.updater.read_address.eq(dma.read.address),
            self.updater.read_bank.eq(dma.read.bank),
        ]


def sparse_lanes(p: Parameters) -> int:
    """Weights with their indices in a word of DRAM."""
    return WORD_BITS // p.weight_bits
