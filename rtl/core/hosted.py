"""The core behind registers: its queues filled by whoever writes, what it does counted for whoever reads.

A host is slow and the core waits for it; so cycles are not the simulator's then, and every bit is. Only one order is
to be kept: the walks of a command are in their queue before the command is in its own (`rtl.core.pushing`).
"""

from amaranth import (
    Cat,
    ClockDomain,
    ClockSignal,
    Const,
    DomainRenamer,
    Elaboratable,
    Module,
    ResetSignal,
    Signal,
    Value,
)
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from rtl.axi.master import master_ports
from rtl.core.core import ENGINES, Core, Fault
from rtl.core.dma import PREFIX
from rtl.core.registers import (
    ADDRESS_BITS,
    BITS,
    CONTROL,
    CYCLES,
    CYCLES_HIGH,
    FREE,
    OPS,
    OVERFLOW,
    PART,
    RESET,
    STATUS,
    WAIT_FOR_B,
    CoreMap,
)
from rtl.placing import Place, as_submodule

BURST_BITS = 16  # of the number of bursts on their way


class HostedCore(wiring.Component):
    """write: `write_data` goes to the register at byte address `write_address`. full: that would lose a word now;
    unknown: there is nothing to write. Both are said without `write`.

    read: what is at `read_address` is on `read_data` from the next cycle on; nowhere: there is nothing.
    stopped: the core has found a fault. quiet: nothing is carried out, waits, or is on its way to or from DRAM.
    """

    def __init__(self, where: CoreMap, place: Place = as_submodule) -> None:
        self.where, self.place = where, place
        super().__init__(
            {
                "write": In(1),
                "write_address": In(ADDRESS_BITS),
                "write_data": In(PART),
                "full": Out(1),
                "unknown": Out(1),
                "read": In(1),
                "read_address": In(ADDRESS_BITS),
                "read_data": Out(PART),
                "nowhere": Out(1),
                "stopped": Out(1),
                "quiet": Out(1),
                **master_ports(PREFIX),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        # a domain of its own, because an inserted reset would not reach the instances in it
        m.domains.core = domain = ClockDomain(local=True)
        self._clear, self._wait_for_b = Signal(), Signal(init=1)
        m.d.comb += [
            domain.clk.eq(ClockSignal()),
            domain.rst.eq(ResetSignal(allow_reset_less=True) | self._clear),
        ]
        m.submodules.core = self._core = core = DomainRenamer("core")(Core(self.where.layout, self.place))
        for name, member in master_ports(PREFIX).items():
            ours, its = getattr(self, name), getattr(core, name)
            m.d.comb += its.eq(ours) if member.flow is In else ours.eq(its)
        m.d.comb += [core.wait_for_b.eq(self._wait_for_b), self.stopped.eq(core.fault != Fault.NONE)]
        self._queues(m)
        self._status(m)
        self._write(m)
        self._read(m)
        return m

    def _queues(self, m: Module) -> None:
        """A queue before each of the core's. What a block memory shows comes late in a cycle, hence the registers."""
        self._fifos, self._push, self._overflow = [], [], Signal(len(self.where.queues))
        self._shown = Signal(len(self.where.queues))
        longest = max(queue.parts for queue in self.where.queues)
        self._parts = [Signal(PART, name=f"part_{number}") for number in range(longest - 1)]
        for queue in self.where.queues:
            fifo = DomainRenamer("core")(SyncFIFOBuffered(width=queue.bits, depth=self.where.depth))
            m.submodules[f"queue_{queue.name}"] = fifo
            stream, push = getattr(self._core, queue.name), Signal(name=f"push_{queue.name}")
            word, shown = Cat(*self._parts[: queue.parts - 1], self.write_data), self._shown[queue.number]
            head = Signal(queue.bits, name=f"head_{queue.name}", reset_less=True)
            with m.If(fifo.r_en):
                m.d.core += [head.eq(fifo.r_data), shown.eq(fifo.r_rdy)]
            m.d.comb += [
                Value.cast(stream.payload).eq(head),
                stream.valid.eq(shown),
                fifo.r_en.eq(~shown | stream.ready),
                fifo.w_data.eq(word[: queue.bits]),
                fifo.w_en.eq(push),
            ]
            with m.If(push & ~fifo.w_rdy):
                m.d.core += self._overflow[queue.number].eq(1)
            self._fifos.append(fifo)
            self._push.append(push)

    def _status(self, m: Module) -> None:
        """What there is to be read, by address."""
        core, where, buffers = self._core, self.where, self.where.layout.control.buffers
        running, waiting, bus = core.running, Signal(), self._bus(m)
        ops, cycles, self._high = Signal(PART), Signal(2 * PART), Signal(PART)
        m.d.core += [ops.eq(ops + core.over), cycles.eq(cycles + running)]
        m.d.comb += [
            waiting.eq(self._shown.any() | Cat(fifo.w_level != 0 for fifo in self._fifos).any()),
            self.quiet.eq(~running & ~waiting & ~bus),
        ]
        flags = Cat(running, waiting, bus, self._overflow.any(), self.quiet)
        self._given: dict[int, Value] = {where.at[name]: Const(value, PART) for name, value in where.constants.items()}
        self._given |= {
            where.at[CONTROL]: self._wait_for_b << WAIT_FOR_B,
            where.at[STATUS]: Cat(flags, Const(0, 8 - len(flags)), _byte(core.fault), _byte(core.run_error)),
            where.at[OPS]: ops,
            where.at[CYCLES]: cycles[:PART],
            where.at[CYCLES_HIGH]: self._high,
            where.at[OVERFLOW]: self._overflow,
        }
        self._upper = cycles[PART:]
        lacking = Signal.like(core.lacking, name="lacking_before")
        m.d.core += lacking.eq(core.lacking)
        for engine in range(len(ENGINES)):
            for buffer in range(buffers):
                count = Signal(PART, name=f"waits_{ENGINES[engine]}_{buffer}")
                m.d.core += count.eq(count + lacking[engine][buffer])
                self._given[where.wait(engine, buffer)] = count
        for queue, fifo in zip(where.queues, self._fifos, strict=True):
            self._given[queue.address + BITS] = Const(queue.bits, PART)
            self._given[queue.address + FREE] = where.depth - fifo.w_level

    def _bus(self, m: Module) -> Value:
        """Whether a burst has not ended."""
        found = []
        for address, channel, last in (("ar", "r", self.m_axi_rlast), ("aw", "b", Const(1))):
            count = Signal(BURST_BITS, name=f"bursts_{address}")
            begins, ends = (
                getattr(self, f"{PREFIX}{name}valid") & getattr(self, f"{PREFIX}{name}ready")
                for name in (address, channel)
            )
            m.d.core += count.eq(count + begins - (ends & last))
            found.append(count != 0)
        return Cat(*found).any()

    def _write(self, m: Module) -> None:
        where, place = self.where, self.write_address[2:]
        m.d.sync += self._clear.eq(0)
        with m.Switch(place):
            with m.Case(where.at[CONTROL] >> 2), m.If(self.write):
                m.d.sync += [
                    self._clear.eq(self.write_data[RESET]),
                    self._wait_for_b.eq(self.write_data[WAIT_FOR_B]),
                ]
            for queue, fifo, push in zip(where.queues, self._fifos, self._push, strict=True):
                for part in range(queue.parts - 1):
                    with m.Case((queue.address >> 2) + part), m.If(self.write):
                        m.d.sync += self._parts[part].eq(self.write_data)
                with m.Case((queue.address >> 2) + queue.parts - 1):
                    m.d.comb += [self.full.eq(~fifo.w_rdy), push.eq(self.write)]
            with m.Default():
                m.d.comb += self.unknown.eq(1)

    def _read(self, m: Module) -> None:
        with m.If(self.read):
            with m.Switch(self.read_address[2:]):
                for address, value in self._given.items():
                    with m.Case(address >> 2):
                        m.d.sync += [self.read_data.eq(value), self.nowhere.eq(0)]
                with m.Default():
                    m.d.sync += [self.read_data.eq(0), self.nowhere.eq(1)]
            with m.If(self.read_address[2:] == self.where.at[CYCLES] >> 2):
                m.d.sync += self._high.eq(self._upper)


def _byte(value: Value) -> Value:
    bits = Value.cast(value)
    return Cat(bits, Const(0, 8 - len(bits)))
