"""A serial port: eight bits, no parity, one stop bit."""

from amaranth import Cat, Const, Elaboratable, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out


class UartReceiver(wiring.Component):
    """rx: the pin. bytes: what came; a byte nobody takes in time is lost. divisor: cycles a bit, at least 4."""

    def __init__(self, divisor: int) -> None:
        self.divisor = divisor
        super().__init__({"rx": In(1, init=1), "bytes": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        pin, count = Signal(init=1), Signal(range(2 * self.divisor))
        m.submodules.synchronizer = FFSynchronizer(self.rx, pin, init=1)
        bits = Signal(9)  # start bit lowest once all are in
        left = Signal(range(10))
        with m.If(self.bytes.ready):
            m.d.sync += self.bytes.valid.eq(0)
        with m.If(left == 0):  # noqa: SIM117  an Elif follows
            with m.If(~pin):
                m.d.sync += [left.eq(9), count.eq(self.divisor + self.divisor // 2 - 1), bits.eq(0)]
        with m.Elif(count != 0):
            m.d.sync += count.eq(count - 1)
        with m.Else():
            m.d.sync += [left.eq(left - 1), count.eq(self.divisor - 1), bits.eq(Cat(bits[1:], pin))]
            with m.If((left == 1) & pin):  # the stop bit
                m.d.sync += [self.bytes.payload.eq(bits[1:]), self.bytes.valid.eq(1)]
        return m


class UartTransmitter(wiring.Component):
    """tx: the pin. bytes: what is sent."""

    def __init__(self, divisor: int) -> None:
        self.divisor = divisor
        super().__init__({"tx": Out(1, init=1), "bytes": In(stream.Signature(8))})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        bits, left, count = Signal(10, init=-1), Signal(range(11)), Signal(range(self.divisor))
        m.d.comb += [self.tx.eq(bits[0]), self.bytes.ready.eq(left == 0)]
        with m.If(left == 0):  # noqa: SIM117  an Elif follows
            with m.If(self.bytes.valid):
                m.d.sync += [bits.eq(Cat(Const(0, 1), self.bytes.payload, Const(1, 1)))]
                m.d.sync += [left.eq(10), count.eq(self.divisor - 1)]
        with m.Elif(count != 0):
            m.d.sync += count.eq(count - 1)
        with m.Else():
            m.d.sync += [left.eq(left - 1), count.eq(self.divisor - 1), bits.eq(Cat(bits[1:], Const(1, 1)))]
        return m
