"""How the beats of a command become bursts: none of them crosses a boundary of 2 KiB, so none has more than 256 beats.

Example: 300 beats from address 2,000 on are bursts of 6, 256 and 38 beats at addresses 2,000, 2,048 and 4,096.
"""

from amaranth import Cat, Const, Elaboratable, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.axi.master import ADDRESS_BITS, BEAT_BYTES

BEAT_BITS = 20  # of a command's beats less one
MOST_BEATS = 256
LOW_BITS = 8  # of a beat's number between two boundaries
UNIT_BITS = BEAT_BYTES.bit_length() - 1  # of an address that are always zero


def bursts(address: int, beats: int) -> list[tuple[int, int]]:
    """Address and beats of every burst of a command, in order."""
    found = []
    while beats > 0:
        size = min(beats, MOST_BEATS - address // BEAT_BYTES % MOST_BEATS)
        found.append((address, size))
        address, beats = address + size * BEAT_BYTES, beats - size
    return found


class Bursts(wiring.Component):
    """Addresses of a command's bursts, the first one in the cycle of `go`, which has its address and beats less one.

    A burst is offered while `valid` and taken with `ready`; the next one follows in the cycle after. length: beats less
    one. first, last: of its command.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "go": In(1),
                "start": In(ADDRESS_BITS),
                "beats": In(BEAT_BITS),
                "ready": In(1),
                "valid": Out(1),
                "address": Out(ADDRESS_BITS),
                "length": Out(LOW_BITS),
                "first": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        more, untaken = Signal(), Signal()
        at, left = Signal(ADDRESS_BITS - UNIT_BITS), Signal(BEAT_BITS)
        now, rest, room = Signal.like(at), Signal.like(left), Signal(LOW_BITS)
        m.d.comb += [
            now.eq(Mux(self.go, self.start[UNIT_BITS:], at)),
            rest.eq(Mux(self.go, self.beats, left)),
            room.eq(~now[:LOW_BITS]),  # beats up to the boundary, less one
            self.valid.eq(self.go | more),
            self.address.eq(Cat(Const(0, UNIT_BITS), now)),
            self.last.eq(rest <= room),
            self.length.eq(Mux(self.last, rest, room)),
            self.first.eq(self.go | untaken),
        ]
        m.d.sync += [
            more.eq(self.valid & ~(self.ready & self.last)),
            untaken.eq(self.first & ~self.ready),
            at.eq(now),
            left.eq(rest),
        ]
        with m.If(self.valid & self.ready):
            m.d.sync += [at.eq(Cat(Const(0, LOW_BITS), now[LOW_BITS:] + 1)), left.eq(rest - room - 1)]
        return m


class Beats(wiring.Component):
    """Counts a command's beats through its bursts, the first one from the cycle of `go` on.

    step: a beat has been taken. there: beats are left. ends_burst, ends_command: this one is the last one of it.
    """

    def __init__(self) -> None:
        ports = {"there": Out(1), "ends_burst": Out(1), "ends_command": Out(1)}
        super().__init__({"go": In(1), "start": In(LOW_BITS), "beats": In(BEAT_BITS), "step": In(1), **ports})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        more, at, left = Signal(), Signal(LOW_BITS), Signal(BEAT_BITS)
        now, rest = Signal.like(at), Signal.like(left)
        m.d.comb += [
            now.eq(Mux(self.go, self.start, at)),
            rest.eq(Mux(self.go, self.beats, left)),
            self.there.eq(self.go | more),
            self.ends_command.eq(rest == 0),
            self.ends_burst.eq(self.ends_command | now.all()),
        ]
        m.d.sync += [
            more.eq(self.there & ~(self.step & self.ends_command)),
            at.eq(now + self.step),
            left.eq(rest - self.step),
        ]
        return m
