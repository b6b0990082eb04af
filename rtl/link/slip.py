"""SLIP (RFC 1055) in gateware: frames between END bytes, and no END inside."""

from amaranth import Elaboratable, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

END, ESC, ESC_END, ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD
MARKED = data.StructLayout({"byte": 8, "end": 1})  # a byte of a frame, or, with `end`, where it ends


class Unslip(wiring.Component):
    """i: bytes of the wire, all taken at once. byte, valid: those of frames. end: a frame ends here."""

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
    """i: bytes of frames and their ends. o: bytes of the wire."""

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
