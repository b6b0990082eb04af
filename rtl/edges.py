"""The array's edges: where operands wait for their row, how rows and columns are told in turn, where sums wait."""

from amaranth import Cat, Elaboratable, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from rtl.control import entry_bits, pe_control, row_token
from rtl.parameters import Parameters

SHALLOW = 8  # sums that wait in registers; more do in block memory, a cycle longer


class RowBuffer(wiring.Component):
    """Groups of operands of one row: they arrive in words as wide as the link and are used as often as asked.

    words: stream of `west_link` operands, the first in the lowest bits, with a bit above that ends a group (tail groups
    have fewer words). token: what to do this cycle. ok: low while the group asked for is not there yet.
    group, control: for the row's first PE, a cycle after the token, when `en` let it pass.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        super().__init__(
            {
                "words": In(stream.Signature(p.west_link * p.operand.bits + 1)),
                "en": In(1),
                "token": In(row_token(p)),
                "ok": Out(1),
                "group": Out(p.group_bits),
                "control": Out(pe_control(p)),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m, p = Module(), self.parameters
        link, bits = p.west_link * p.operand.bits, entry_bits(p)
        written, released = Signal(bits), Signal(bits)
        word = Signal(max(1, (p.group_words - 1).bit_length()))
        payload, ends = self.words.payload[:link], self.words.payload[link]
        parts = []
        for number in range(p.group_words):
            width = min(link, p.group_bits - number * link)
            memory = Memory(shape=width, depth=p.buffer, init=[])
            m.submodules[f"part_{number}"] = memory
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                write.addr.eq(written[:-1]),
                write.data.eq(payload[:width]),
                write.en.eq(self.words.valid & self.words.ready & (word == number)),
                read.addr.eq(self.token.entry[:-1]),
                read.en.eq(self.en),
            ]
            parts.append(read.data)
        ahead = (written - self.token.entry)[:bits]
        m.d.comb += [
            self.words.ready.eq((written - released)[:bits] != p.buffer),
            self.ok.eq(~self.token.use | ((ahead != 0) & (ahead <= p.buffer))),
            self.group.eq(Cat(*parts)),
        ]
        with m.If(self.words.valid & self.words.ready):
            m.d.sync += word.eq(Mux(ends, 0, word + 1))
            with m.If(ends):
                m.d.sync += written.eq(written + 1)
        with m.If(self.en):
            m.d.sync += [self.control.eq(self.token.control), self.last.eq(self.token.last)]
            with m.If(self.token.release):
                m.d.sync += released.eq(released + 1)
        return m


class RowDelay(wiring.Component):
    """The token of the row above, `skew` + 1 enabled cycles later; `stale` keeps out what is older than this run."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        token, address = row_token(parameters), parameters.delay_bits
        super().__init__(
            {
                "en": In(1),
                "now": In(address),
                "skew": In(address),
                "stale": In(1),
                "above": In(token),
                "token": Out(token),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        layout = row_token(self.parameters)
        m.submodules.memory = memory = Memory(shape=layout.size, depth=1 << self.parameters.delay_bits, init=[])
        write = memory.write_port()
        read = memory.read_port(transparent_for=(write,))
        fresh = Signal()
        m.d.comb += [
            write.addr.eq(self.now),
            write.data.eq(self.above),
            write.en.eq(self.en),
            read.addr.eq(self.now - self.skew),
            read.en.eq(self.en),
            self.token.eq(Mux(fresh, read.data, 0)),
        ]
        with m.If(self.en):
            m.d.sync += fresh.eq(~self.stale)
        return m


class ResultQueue(wiring.Component):
    """Sums wait here at the end of a column. comes: there is one this cycle. ok: low while there is no room for it."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        super().__init__(
            {
                "comes": In(1),
                "en": In(1),
                "total": In(p.accumulator.bits),
                "ok": Out(1),
                "sums": Out(stream.Signature(p.accumulator.bits)),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m, p = Module(), self.parameters
        kind = SyncFIFO if p.results <= SHALLOW else SyncFIFOBuffered
        m.submodules.queue = queue = kind(width=p.accumulator.bits, depth=p.results)
        m.d.comb += [
            queue.w_data.eq(self.total),
            queue.w_en.eq(self.comes & self.en),
            self.ok.eq(~self.comes | queue.w_rdy),
            self.sums.valid.eq(queue.r_rdy),
            self.sums.payload.eq(queue.r_data),
            queue.r_en.eq(self.sums.ready),
        ]
        return m
