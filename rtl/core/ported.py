"""A memory with two write ports, of memories that have one, as every FPGA has them.

Each write port has copies of its own, and every place a bit that says whose word is the last one there. That bit is
held twice: it is the difference of two, of which a writer changes its own, so that they are memories with one write
port as well. Reads come a cycle later, as those of any block memory, and no place is read while it is written.
"""

from dataclasses import dataclass, field
from typing import final

from amaranth import Elaboratable, Module, Mux, Signal
from amaranth.lib.memory import Memory

from rtl.counting import UNRACED

WRITERS = 2


@final
@dataclass(frozen=True, eq=False)
class Writing:
    """`data` goes to `addr` in a cycle with `en`."""

    addr: Signal
    data: Signal
    en: Signal


@final
@dataclass(frozen=True, eq=False)
class Reading:
    """`data` is what lies at `addr` of the cycle before; it stays while not `en`."""

    addr: Signal
    data: Signal
    en: Signal


@final
@dataclass(eq=False)
class TwiceWritten(Elaboratable):
    """`depth` words of `bits`, with two write ports and as many read ports as are asked for before it is elaborated.

    Both writers may write in a cycle, to different places. Not frozen: it gives ports.
    """

    bits: int
    depth: int
    reads: list[Reading] = field(default_factory=list)
    writes: list[Writing] = field(default_factory=list)

    def read_port(self) -> Reading:
        """One more."""
        name = f"read_{len(self.reads)}"
        address, enable = Signal(range(self.depth), name=f"{name}_addr"), Signal(name=f"{name}_en", init=1)
        self.reads.append(Reading(address, Signal(self.bits, name=f"{name}_data"), enable))
        return self.reads[-1]

    def write_port(self) -> Writing:
        """The first or the second one."""
        assert len(self.writes) < WRITERS
        name = f"write_{len(self.writes)}"
        address, data = Signal(range(self.depth), name=f"{name}_addr"), Signal(self.bits, name=f"{name}_data")
        self.writes.append(Writing(address, data, Signal(name=f"{name}_en")))
        return self.writes[-1]

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        words, halves = list[Memory](), list[Memory]()
        for number in range(WRITERS):
            words.append(Memory(shape=self.bits, depth=self.depth, init=[], attrs=UNRACED))
            halves.append(Memory(shape=1, depth=self.depth, init=[]))
            m.submodules[f"words_{number}"], m.submodules[f"half_{number}"] = words[-1], halves[-1]
        for number, port in enumerate(self.writes):
            word, half = words[number].write_port(), halves[number].write_port()
            other = halves[1 - number].read_port(domain="comb")
            m.d.comb += [
                word.addr.eq(port.addr),
                word.data.eq(port.data),
                word.en.eq(port.en),
                other.addr.eq(port.addr),
                half.addr.eq(port.addr),
                half.data.eq(other.data ^ number),  # from now on their difference is `number`
                half.en.eq(port.en),
            ]
        for port in self.reads:
            found, last, second = [], [], Signal()
            for number in range(WRITERS):
                word, half = words[number].read_port(), halves[number].read_port(domain="comb")
                m.d.comb += [word.addr.eq(port.addr), word.en.eq(port.en), half.addr.eq(port.addr)]
                found.append(word.data)
                last.append(half.data)
            with m.If(port.en):
                m.d.sync += second.eq(last[0] ^ last[1])
            m.d.comb += port.data.eq(Mux(second, found[1], found[0]))
        return m
