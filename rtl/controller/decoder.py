"""From bytes to commands: a letter, a channel and a count of items, then the items' bytes for whoever gathers them."""

from amaranth import Elaboratable, Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

COMMAND = data.StructLayout({"letter": 8, "channel": 8, "count": 16})
HEAD = 4  # bytes of a command before its items


class Decoder(wiring.Component):
    """bytes: what comes. command: stays valid until it is done (ready). items: bytes that belong to it.

    waits: for another byte of a command.
    """

    def __init__(self) -> None:
        ports = {"bytes": In(stream.Signature(8)), "command": Out(stream.Signature(COMMAND))}
        super().__init__({**ports, "items": Out(stream.Signature(8)), "waits": Out(1)})

    def elaborate(self, platform: object) -> Elaboratable:
        m, command = Module(), self.command.payload
        fields = (command.letter, command.channel, command.count[:8], command.count[8:])
        with m.FSM():
            for number, field in enumerate(fields):
                with m.State(f"BYTE_{number}"):
                    m.d.comb += [self.bytes.ready.eq(1), self.waits.eq(~self.bytes.valid)]
                    with m.If(self.bytes.valid):
                        m.d.sync += field.eq(self.bytes.payload)
                        m.next = f"BYTE_{number + 1}" if number + 1 < HEAD else "DO"
            with m.State("DO"):
                m.d.comb += [
                    self.command.valid.eq(1),
                    self.items.valid.eq(self.bytes.valid),
                    self.items.payload.eq(self.bytes.payload),
                    self.bytes.ready.eq(self.items.ready),
                    self.waits.eq(self.items.ready & ~self.bytes.valid),
                ]
                with m.If(self.command.ready):
                    m.next = "BYTE_0"
        return m
