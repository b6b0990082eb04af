"""What is on a board: the array with its controller behind the link, at a stream of bytes or at two pins."""

from amaranth import Cat, ClockDomain, ClockSignal, Const, DomainRenamer, Elaboratable, Module, ResetSignal, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from rtl.controller import NONE, Controller
from rtl.lanes import Lanes
from rtl.link.frames import INBOX, OUTBOX
from rtl.link.gateware import Link
from rtl.parameters import Parameters
from rtl.placing import Place, as_submodule


class UartReceiver(wiring.Component):
    """Eight bits, no parity, one stop bit. rx: the pin. bytes: what came; a byte nobody takes in time is lost.

    divisor: cycles a bit, at least 4.
    """

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


class LinkedArray(wiring.Component):
    """rx, tx: bytes of the wire. quiet: nothing goes on, and nothing will before another byte comes.

    queues: bytes of commands and of replies that wait.
    """

    def __init__(
        self,
        parameters: Parameters,
        queues: tuple[int, int] = (INBOX, OUTBOX),
        place: Place = as_submodule,
        lanes: Lanes = NONE,
    ) -> None:
        self._controller = Controller(parameters, place, lanes)
        self._link = Link(*queues)
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


class PinnedArray(wiring.Component):
    """rx_pin, tx_pin: pins of a serial port, `divisor` cycles a bit."""

    def __init__(self, linked: wiring.Component, divisor: int) -> None:
        self._linked, self._divisor = linked, divisor
        super().__init__({"rx_pin": In(1, init=1), "tx_pin": Out(1, init=1), "quiet": Out(1)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(self._divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self._divisor)
        m.submodules.linked = linked = self._linked
        wiring.connect(m, receiver.bytes, linked.rx)
        wiring.connect(m, linked.tx, transmitter.bytes)
        m.d.comb += [receiver.rx.eq(self.rx_pin), self.tx_pin.eq(transmitter.tx)]
        m.d.comb += self.quiet.eq(linked.quiet & transmitter.bytes.ready)
        return m


class PoweredUp(wiring.Component):
    """A top whose registers begin as they do on an FPGA: its ports and a clock, no reset."""

    def __init__(self, top: wiring.Component) -> None:
        self._top = top
        super().__init__({**top.signature.members, "clk": In(1)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.domains.sync = ClockDomain(reset_less=True)
        m.submodules.top = top = self._top
        m.d.comb += ClockSignal().eq(self.clk)
        outside = {path: port for path, _, port in self.signature.flatten(self)}
        for path, member, port in top.signature.flatten(top):
            m.d.comb += port.eq(outside[path]) if member.flow is In else outside[path].eq(port)
        return m
