"""Between a bank of the core and the array: words read one after the other, sums written one after the other.

The array's own edges hold a few words; the banks hold slots. What is read or written is a job: an address and a number.
A bank's reader runs ahead of the array as far as the edge has room, so that the array never waits for it.
"""

from amaranth import Elaboratable, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

WAITING = 4  # jobs that wait for a reader or writer: the last row hears of a run some short runs after the first


def read_job(address_bits: int, count_bits: int) -> StructLayout:
    """`count` words, less one, from an address on; all but the first `real` of them are filled in."""
    return StructLayout({"address": address_bits, "count": count_bits, "real": count_bits + 1})


def write_job(address_bits: int, count_bits: int) -> StructLayout:
    """Sums to addresses from `address` on, downwards or up: `blocks` times `count`, both less one, of which the first
    `skip` of each block are dropped."""
    counts = {"count": count_bits, "blocks": count_bits, "skip": count_bits}
    return StructLayout({"address": address_bits, "down": 1, **counts})


class BankReader(wiring.Component):
    """jobs: what to read. address, enable, data: of the bank, whose data come a cycle later and stay while not enabled.

    o: the words. filling: what stands in place of words that are not real.
    """

    def __init__(self, bits: int, address_bits: int, count_bits: int, filling: int = 0) -> None:
        self.bits, self.filling = bits, filling
        self.job = read_job(address_bits, count_bits)
        memory = {"address": Out(address_bits), "enable": Out(1), "data": In(bits)}
        super().__init__({"jobs": In(stream.Signature(self.job)), **memory, "o": Out(stream.Signature(bits))})

    def elaborate(self, platform: object) -> Elaboratable:
        m, job, active = Module(), Signal(self.job), Signal()
        m.submodules.waiting = waiting = SyncFIFOBuffered(width=self.job.size, depth=WAITING)
        there, real, advance = Signal(), Signal(), Signal()
        begins = Signal()
        m.d.comb += [
            waiting.w_data.eq(self.jobs.payload),
            waiting.w_en.eq(self.jobs.valid),
            self.jobs.ready.eq(waiting.w_rdy),
            advance.eq(~there | self.o.ready),
            self.address.eq(job.address),
            self.enable.eq(advance),
            self.o.valid.eq(there),
            self.o.payload.eq(Mux(real, self.data, self.filling)),
            begins.eq(waiting.r_rdy & (~active | (advance & (job.count == 0)))),
            waiting.r_en.eq(begins),
        ]
        with m.If(advance):
            m.d.sync += [there.eq(active), real.eq(job.real != 0)]
            with m.If(active):
                m.d.sync += [
                    job.address.eq(job.address + 1),
                    job.count.eq(job.count - 1),
                    job.real.eq(job.real - (job.real != 0)),
                    active.eq(job.count != 0),
                ]
        with m.If(begins):
            m.d.sync += [job.eq(waiting.r_data), active.eq(1)]
        return m


class BankWriter(wiring.Component):
    """jobs: where the next sums go. i: the sums. address, enable, data: of the bank.

    done: a job's last sum is written.
    """

    def __init__(self, bits: int, address_bits: int, count_bits: int) -> None:
        self.bits = bits
        self.job = write_job(address_bits, count_bits)
        memory = {"address": Out(address_bits), "enable": Out(1), "data": Out(bits), "done": Out(1)}
        super().__init__({"jobs": In(stream.Signature(self.job)), "i": In(stream.Signature(bits)), **memory})

    def elaborate(self, platform: object) -> Elaboratable:
        m, job, next_, active = Module(), Signal(self.job), Signal(self.job), Signal()
        m.submodules.waiting = waiting = SyncFIFOBuffered(width=self.job.size, depth=WAITING)
        count, skip, blocks = (Signal.like(job[name], name=name) for name in ("count", "skip", "blocks"))
        m.d.comb += [
            waiting.w_data.eq(self.jobs.payload),
            waiting.w_en.eq(self.jobs.valid),
            self.jobs.ready.eq(waiting.w_rdy),
            waiting.r_en.eq(waiting.r_rdy & ~active),
            next_.eq(waiting.r_data),
            self.i.ready.eq(active),
            self.address.eq(job.address),
            self.data.eq(self.i.payload),
            self.enable.eq(active & self.i.valid & (skip == 0)),
            self.done.eq(active & self.i.valid & (count == 0) & (blocks == 0)),
        ]
        with m.If(active & self.i.valid):
            m.d.sync += [count.eq(count - 1), skip.eq(skip - (skip != 0))]
            with m.If(self.enable):
                m.d.sync += job.address.eq(Mux(job.down, job.address - 1, job.address + 1))
            with m.If(count == 0):
                m.d.sync += [count.eq(job.count), skip.eq(job.skip), blocks.eq(blocks - 1)]
        with m.If(self.done):
            m.d.sync += active.eq(0)
        with m.If(waiting.r_en):
            m.d.sync += [job.eq(next_), active.eq(1)]
            m.d.sync += [count.eq(next_.count), skip.eq(next_.skip), blocks.eq(next_.blocks)]
        return m
