"""A core on a board: behind the link, with a block memory as its DRAM."""

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
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.axi.block_ram import PREFIX as RAM
from rtl.axi.block_ram import BlockRam
from rtl.axi.master import master_ports
from rtl.controller.decoder import Decoder
from rtl.controller.gatherer import Gatherer
from rtl.controller.replier import Replier
from rtl.core.dma import PREFIX
from rtl.core.hosted import HostedCore
from rtl.core.registers import ADDRESS_BITS, PART, STATUS, WINDOW, WINDOWS, CoreMap
from rtl.counting import later
from rtl.link.core_protocol import LETTERS, PART_BYTES, WORD_BYTES, identity, identity_bytes
from rtl.link.frames import INBOX, OUTBOX
from rtl.link.gateware import Link
from rtl.placing import Place, as_instance, as_submodule


class CoreController(wiring.Component):
    """commands, replies: streams of bytes. idle: nothing goes on, and nothing will before another byte comes.

    dram: words of its memory. A command of an unknown letter is taken and does nothing.
    """

    def __init__(self, where: CoreMap, dram: int, place: Place = as_submodule) -> None:
        self.where, self.dram, self.place = where, dram, place
        super().__init__({"commands": In(stream.Signature(8)), "replies": Out(stream.Signature(8)), "idle": Out(1)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.core = self.core = core = HostedCore(self.where, self.place)
        m.submodules.memory = self.memory = memory = BlockRam(self.dram)
        for name, member in master_ports("").items():
            ours, its = getattr(core, PREFIX + name), getattr(memory, RAM + name)
            m.d.comb += its.eq(ours) if member.flow is Out else ours.eq(its)
        m.submodules.decoder = decoder = Decoder()
        m.submodules.gatherer = gatherer = Gatherer(LETTERS)
        self.replier = Replier(max(WORD_BYTES, identity_bytes(self.where)))
        wiring.connect(m, wiring.flipped(self.commands), decoder.bytes)
        wiring.connect(m, decoder.items, gatherer.bytes)
        wiring.connect(m, self.replier.bytes, wiring.flipped(self.replies))
        self.command, self.done, self.item = decoder.command.payload, decoder.command.ready, gatherer.item
        # the letter stands still for cycles before the command is whole
        self.does = {
            each: decoder.command.valid & later(m, self.command.letter == ord(each), 1, each)
            for each in (*LETTERS, *"IGQ")
        }
        m.d.comb += [
            gatherer.letter.eq(self.command.letter),
            gatherer.count.eq(self.command.count),
            gatherer.active.eq(Cat(*(self.does[letter] for letter in LETTERS)).any()),
            self.done.eq(~Cat(*self.does.values()).any() | (gatherer.active & gatherer.done & self.replier.free)),
            self.idle.eq(core.quiet & decoder.waits & self.replier.free),
        ]
        self._registers(m)
        self._memory(m)
        self._answer(m)
        m.submodules.replier = self.replier
        return m

    def _given(self, letter: str) -> Value:
        """The item of a command."""
        return self.item.payload[len(self.item.payload) - 8 * LETTERS[letter] :]

    def _registers(self, m: Module) -> None:
        """P, W and R."""
        core, offers = self.core, self.item.valid
        # where the next part goes; the register behind the last one of a word is none of its parts
        part, lasts = Signal(range(WINDOW // PART_BYTES)), Signal()
        with m.Switch(self.command.channel):
            for queue in self.where.queues:
                with m.Case(queue.number):
                    m.d.comb += lasts.eq(part == queue.parts - 1)
            with m.Default():
                m.d.comb += lasts.eq(1)
        window = Cat(Const(0, 2), part, self.command.channel) + WINDOWS
        with m.If(self.does["P"]):
            m.d.comb += [
                core.write_address.eq(window[:ADDRESS_BITS]),
                core.write_data.eq(self._given("P")),
                core.write.eq(offers & ~core.full & ~core.stopped),
                self.item.ready.eq(~core.full | core.stopped),
            ]
            with m.If(offers & self.item.ready):
                m.d.sync += part.eq(part + 1)
                with m.If(lasts):
                    m.d.sync += part.eq(0)
        with m.Else():
            m.d.sync += part.eq(0)
        with m.If(self.does["W"]):
            m.d.comb += [
                core.write_address.eq(self._given("W")[:PART]),
                core.write_data.eq(self._given("W")[PART:]),
                core.write.eq(offers),
                self.item.ready.eq(1),
            ]
        m.d.comb += core.read_address.eq(self._given("R"))
        self.read = Signal()  # a register is read, and said in the next cycle
        with m.If(self.does["R"]):
            m.d.comb += [core.read.eq(offers & self.replier.free & ~self.read), self.item.ready.eq(core.read)]
        with m.If(self.does["Q"]):
            settled = (core.quiet | core.stopped) & self.replier.free & ~self.read
            m.d.comb += [core.read.eq(settled), core.read_address.eq(self.where.at[STATUS]), self.done.eq(settled)]
        m.d.sync += self.read.eq(core.read)

    def _memory(self, m: Module) -> None:
        """A, M and G."""
        memory, offers, at, left = self.memory, self.item.valid, Signal(range(self.dram)), Signal(16)
        begun, self.fetched = Signal(), Signal()  # a word is read, and said in the next cycle
        m.d.comb += [memory.host_address.eq(at), memory.host_data.eq(self._given("M"))]
        with m.If(self.does["A"]):
            m.d.comb += self.item.ready.eq(1)
            with m.If(offers):
                m.d.sync += at.eq(self._given("A"))
        with m.If(self.does["M"]):
            m.d.comb += [memory.host_write.eq(offers), self.item.ready.eq(memory.host_done)]
        m.d.sync += [begun.eq(self.does["G"] & ~self.done), self.fetched.eq(memory.host_read & memory.host_done)]
        with m.If(self.does["G"]):
            m.d.comb += [
                memory.host_read.eq(begun & (left != 0) & self.replier.free & ~self.fetched),
                self.done.eq(begun & (left == 0) & self.replier.free & ~self.fetched),
            ]
            with m.If(~begun):
                m.d.sync += left.eq(self.command.count)
            with m.Elif(memory.host_read & memory.host_done):
                m.d.sync += left.eq(left - 1)
        with m.If(memory.host_done):
            m.d.sync += at.eq(at + 1)

    def _answer(self, m: Module) -> None:
        itself = self.does["I"] & self.replier.free
        with m.If(self.does["I"]):
            m.d.comb += self.done.eq(itself)
        text = int.from_bytes(identity(self.where, self.dram), "little")
        self.replier.say(itself, Const(text, 8 * identity_bytes(self.where)), identity_bytes(self.where))
        self.replier.say(self.read, self.core.read_data, PART_BYTES)
        self.replier.say(self.fetched, self.memory.host_word, WORD_BYTES)


class LinkedCore(wiring.Component):
    """rx, tx: bytes of the wire. quiet: nothing goes on, and nothing will before another byte comes."""

    def __init__(self, where: CoreMap, dram: int, place: Place = as_instance) -> None:
        self._controller, self._link = CoreController(where, dram, place), Link(INBOX, OUTBOX)
        super().__init__({"rx": In(stream.Signature(8)), "tx": Out(stream.Signature(8)), "quiet": Out(1)})

    def elaborate(self, platform: object) -> Elaboratable:
        m, controller = Module(), self._controller
        m.submodules.link = link = self._link
        # a domain of its own, because an inserted reset would not reach the instances in it
        m.domains.session = session = ClockDomain(local=True)
        m.d.comb += [session.clk.eq(ClockSignal()), session.rst.eq(ResetSignal(allow_reset_less=True) | link.restart)]
        m.submodules.controller = DomainRenamer("session")(controller)
        wiring.connect(m, wiring.flipped(self.rx), link.rx)
        wiring.connect(m, link.tx, wiring.flipped(self.tx))
        wiring.connect(m, link.commands, controller.commands)
        wiring.connect(m, controller.replies, link.replies)
        m.d.comb += self.quiet.eq(link.quiet & controller.idle)
        return m
