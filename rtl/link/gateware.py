"""The board's end of the link (`rtl.link.frames`): frames come and go, streams of commands and replies between them.

Commands wait in a memory of their own, into which a frame is written as it comes; only when its CRC is right do they
count. Replies stay in theirs until the host asks for later ones, so any of them can be asked for again.
"""

from amaranth import Cat, Const, Elaboratable, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ETHERNET
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from rtl.link.frames import CRC_BYTES, HEADER_BYTES, INBOX, LONGEST, OUTBOX, STATUS_BYTES

END, ESC, ESC_END, ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD
MARKED = data.StructLayout({"byte": 8, "end": 1})  # a byte of a frame, or, with `end`, where it ends


class Unslip(wiring.Component):
    """SLIP (RFC 1055) undone. i: bytes of the wire, all taken at once. byte, valid: those of frames.

    end: a frame ends here.
    """

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(8)), "byte": Out(8), "valid": Out(1), "end": Out(1)})

    def elaborate(self, platform: object) -> Elaboratable:
        m, escaped, byte = Module(), Signal(), self.i.payload
        is_end, is_escape = byte == END, byte == ESC
        m.d.comb += [
            self.i.ready.eq(1),
            self.end.eq(self.i.valid & is_end),
            self.valid.eq(self.i.valid & ~is_end & ~is_escape),
            self.byte.eq(Mux(escaped, Mux(byte == ESC_END, END, ESC), byte)),
        ]
        with m.If(self.i.valid):
            m.d.sync += escaped.eq(is_escape)
        return m


class Slip(wiring.Component):
    """Frames between END bytes, and no END inside. i: bytes of frames and their ends. o: bytes of the wire."""

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(MARKED)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Elaboratable:
        m, second = Module(), Signal()
        byte = self.i.payload.byte
        special = ~self.i.payload.end & ((byte == END) | (byte == ESC))
        m.d.comb += [
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready & (second | ~special)),
            self.o.payload.eq(byte),
        ]
        with m.If(self.i.payload.end):
            m.d.comb += self.o.payload.eq(END)
        with m.Elif(special):
            m.d.comb += self.o.payload.eq(Mux(second, Mux(byte == END, ESC_END, ESC_ESC), ESC))
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += second.eq(special & ~second)
        return m


HEAD_BYTES = HEADER_BYTES + STATUS_BYTES


class Link(wiring.Component):
    """rx, tx: bytes of the wire. commands, replies: bytes of the controller.

    inbox, outbox: bytes of commands and replies that wait, powers of two; more than LONGEST, or a whole frame of
    replies never comes together. restart: high for a cycle when a session has begun, from a register, because much
    hangs on it. quiet: nothing waits here and nothing is being answered.
    """

    def __init__(self, inbox: int = INBOX, outbox: int = OUTBOX) -> None:
        self._inbox, self._outbox = inbox, outbox
        byte = stream.Signature(8)
        ports = {"rx": In(byte), "tx": Out(byte), "commands": Out(byte), "replies": In(byte)}
        super().__init__({**ports, "restart": Out(1), "quiet": Out(1)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        self._session, self._number = Signal(16), Signal(16)  # number: of the last S
        self._taken, self._made, self._next = Signal(32), Signal(32), Signal(32)  # offsets; `next` reply to go out
        self._waiting = Signal(range(self._inbox + 1))  # commands
        # replies that may be asked for again; that have not gone out; that are to go out when they are made
        self._held, self._pending = Signal(range(self._outbox + 1)), Signal(range(self._outbox + 1))
        self._asked = Signal(16)
        self._room, self._enters = Signal(16), Signal()
        self._owes_status, self._answering = Signal(), Signal()
        self._commands = m.submodules.inbox = Memory(shape=8, depth=self._inbox, init=[])
        m.d.sync += self.restart.eq(0)
        self._give_commands(m)
        self._answer(m, self._keep_replies(m))
        # last: what a frame asks for is not forgotten in the cycle in which the one before is answered
        self._receive(m)
        busy = (
            self._whole | self._answering | self._owes_status | self._shown | self.commands.valid | self.replies.valid
        )
        m.d.comb += self.quiet.eq(~busy)
        return m

    def _receive(self, m: Module) -> None:
        """Frames as they come: their commands into the memory, and at their end, if they are whole, what they ask."""
        m.submodules.unslip = unslip = Unslip()
        m.submodules.check = check = CRC32_ETHERNET(8).create()
        wiring.connect(m, wiring.flipped(self.rx), unslip.i)
        header, count, overflow = Signal(8 * (HEADER_BYTES + 2)), Signal(16), Signal()
        kind, session, offset, wanted = header[:8], header[8:24], header[24:56], header[56:]
        write = self._commands.write_port()
        place = (count - HEADER_BYTES)[:16]
        m.d.comb += [
            check.data.eq(unslip.byte),
            check.valid.eq(unslip.valid),
            check.start.eq(count == 0),
            write.data.eq(unslip.byte),
            write.addr.eq(self._taken + place),
            write.en.eq(unslip.valid & (count >= HEADER_BYTES) & (place < self._room)),
        ]
        with m.If(unslip.valid):
            m.d.sync += [count.eq(count + 1), overflow.eq(overflow | (count[-1] == 1))]
            with m.If(count < HEADER_BYTES + 2):
                m.d.sync += header.eq(Cat(header[8:], unslip.byte))
        # what a frame asks is done a cycle after its end: whether it is whole is long in coming, and its header stays
        length, self._whole = Signal(16), Signal()
        whole = check.match_detected & (count >= HEADER_BYTES + CRC_BYTES) & ~overflow
        m.d.sync += [self._whole.eq(unslip.end & whole), length.eq(count - HEADER_BYTES - CRC_BYTES)]
        with m.If(unslip.end):
            m.d.sync += [count.eq(0), overflow.eq(0)]
        with m.If(self._whole):
            self._do(m, kind, session, offset, wanted, length)

    def _do(self, m: Module, kind: Value, session: Value, offset: Value, wanted: Value, length: Value) -> None:
        """What a frame asks. Of another session, it is only told which one this is."""
        m.d.sync += self._owes_status.eq(1)
        mine = session == self._session
        with m.If(mine & (kind == ord("S"))):
            m.d.sync += self._number.eq(offset[:16])
        # the CRC went into the memory too, behind the commands
        with m.If(mine & (kind == ord("D")) & (offset == self._taken) & (length + CRC_BYTES <= self._room)):
            m.d.sync += [self._taken.eq(self._taken + length), self._waiting.eq(self._waiting - self._gives + length)]
        back = (self._made - offset)[:32]
        with m.If(mine & ((kind == ord("R")) | (kind == ord("A"))) & (back <= self._held)):
            left = back[: len(self._held)] + self._enters
            m.d.sync += self._held.eq(left)
            with m.If(kind == ord("R")):
                m.d.sync += [self._next.eq(offset), self._asked.eq(wanted), self._pending.eq(left)]
        with m.If(~mine & (kind == ord("O"))):
            m.d.sync += [self.restart.eq(1), self._session.eq(session), self._shown.eq(0)]
            offsets = (self._taken, self._made, self._next)
            m.d.sync += [each.eq(0) for each in (*offsets, self._waiting, self._held, self._pending, self._asked)]

    def _give_commands(self, m: Module) -> None:
        """Commands that count, a byte a cycle.

        What a block memory shows comes late in a cycle, and so does whether a command is taken: a queue of two stands
        between them and the counts here.
        """
        read = self._commands.read_port()
        m.submodules.ahead = ahead = ResetInserter(self.restart)(SyncFIFO(width=8, depth=2))
        wiring.connect(m, ahead.r_stream, wiring.flipped(self.commands))
        fetch = Signal()
        self._gives, self._shown = Signal(), Signal()
        m.d.comb += [
            fetch.eq(~self._shown | ahead.w_rdy),
            ahead.w_en.eq(self._shown),
            ahead.w_data.eq(read.data),
            self._gives.eq(fetch & (self._waiting != 0)),
            read.addr.eq(self._taken - self._waiting),
            read.en.eq(fetch),
            self._room.eq(self._inbox - self._waiting),
        ]
        m.d.sync += self._waiting.eq(self._waiting - self._gives)
        with m.If(fetch):
            m.d.sync += self._shown.eq(self._gives)

    def _keep_replies(self, m: Module) -> Memory:
        m.submodules.outbox = memory = Memory(shape=8, depth=self._outbox, init=[])
        write = memory.write_port()
        m.d.comb += [
            self.replies.ready.eq(self._held != self._outbox),
            self._enters.eq(self.replies.valid & self.replies.ready & ~self.restart),
            write.addr.eq(self._made),
            write.data.eq(self.replies.payload),
            write.en.eq(self._enters),
        ]
        m.d.sync += [each.eq(each + self._enters) for each in (self._made, self._held, self._pending)]
        return memory

    def _answer(self, m: Module, replies: Memory) -> None:
        """One frame after the other: a status, or replies."""
        m.submodules.slip = slip = Slip()
        m.submodules.sum = check = CRC32_ETHERNET(8).create()
        wiring.connect(m, slip.o, wiring.flipped(self.tx))
        read = replies.read_port()
        head, left = Signal(8 * HEAD_BYTES), Signal(range(HEAD_BYTES + 1))
        at, more, size, byte = Signal(range(self._outbox)), Signal(8), Signal(8), Signal(8)
        out, passed = slip.i, Signal()
        m.d.comb += [
            read.addr.eq(at),
            passed.eq(out.valid & out.ready),
            check.data.eq(out.payload.byte),
            size.eq(Mux(self._asked < LONGEST, self._asked, LONGEST)),
        ]
        status = Cat(Const(ord("s"), 8), self._session, self._taken, self._room, self._number, self._asked)
        replied = Cat(Const(ord("d"), 8), self._session, self._next)
        with m.FSM() as states:
            with m.State("IDLE"):
                m.d.comb += check.start.eq(1)
                with m.If(self._owes_status):
                    m.d.sync += [self._owes_status.eq(0), head.eq(status), left.eq(HEAD_BYTES), more.eq(0)]
                    m.next = "HEAD"
                with m.Elif((size != 0) & (self._pending >= size)):
                    m.d.sync += [head.eq(replied), left.eq(HEADER_BYTES), at.eq(self._next), more.eq(size)]
                    m.d.sync += [self._next.eq(self._next + size), self._asked.eq(self._asked - size)]
                    m.d.sync += self._pending.eq(self._pending + self._enters - size)
                    m.next = "HEAD"
            with m.State("HEAD"):
                m.d.comb += [out.valid.eq(1), out.payload.byte.eq(head[:8]), check.valid.eq(passed)]
                with m.If(passed):
                    m.d.sync += [head.eq(head >> 8), left.eq(left - 1)]
                    with m.If(left == 1):
                        m.next = "FETCH"
            with m.State("FETCH"):
                m.next = "KEEP"
                with m.If(more == 0):
                    m.d.sync += [head.eq(check.crc), left.eq(CRC_BYTES)]
                    m.next = "CHECK"
            with m.State("KEEP"):  # what a block memory shows comes late in a cycle
                m.d.sync += byte.eq(read.data)
                m.next = "BODY"
            with m.State("BODY"):
                m.d.comb += [out.valid.eq(1), out.payload.byte.eq(byte), check.valid.eq(passed)]
                with m.If(passed):
                    m.d.sync += [at.eq(at + 1), more.eq(more - 1)]
                    m.next = "FETCH"
            with m.State("CHECK"):
                m.d.comb += [out.valid.eq(1), out.payload.byte.eq(head[:8]), out.payload.end.eq(left == 0)]
                with m.If(passed):
                    m.d.sync += [head.eq(head >> 8), left.eq(left - 1)]
                    with m.If(left == 0):
                        m.next = "IDLE"
            m.d.comb += self._answering.eq(~states.ongoing("IDLE"))
