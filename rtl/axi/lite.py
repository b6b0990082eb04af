"""The AXI4-Lite side: one write and one read at a time, answers from registers."""

from amaranth import Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.axi.registers import ADDRESS_BITS, BY_NAME, COUNTERS, IDENTITY, RUN
from rtl.control import COUNTERS as COUNTERS_LAYOUT
from rtl.counters import COUNTED
from rtl.parameters import Parameters
from rtl.run import RUN_BITS

WORD = 32
OKAY, SLVERR = 0, 2
ANSWERS = {"b": (("resp", 2),), "r": (("data", WORD), ("resp", 2))}


def lite_ports(prefix: str, address_bits: int = ADDRESS_BITS) -> dict[str, wiring.Member]:
    """Members of a signature: an AXI4-Lite slave's ports, by their names with `prefix` before them."""
    ports: dict[str, wiring.Member] = {}
    channels = {  # what the master gives, as the standard names it
        "aw": (("addr", address_bits), ("prot", 3)),
        "w": (("data", WORD), ("strb", WORD // 8)),
        "ar": (("addr", address_bits), ("prot", 3)),
    }
    for channel, parts in channels.items():
        ports |= {f"{prefix}{channel}{name}": In(width) for name, width in parts}
        ports |= {f"{prefix}{channel}valid": In(1), f"{prefix}{channel}ready": Out(1)}
    for channel, parts in ANSWERS.items():
        ports |= {f"{prefix}{channel}{name}": Out(width) for name, width in parts}
        ports |= {f"{prefix}{channel}valid": Out(1), f"{prefix}{channel}ready": In(1)}
    return ports


class Registers(wiring.Component):
    """Ports of `lite_ports("")`. runs: what was handed over. idle, counters: of the array. patience, abort: for it.

    A write of several bytes at once changes those whose strobe is set. What is not there, or may not be read or
    written, is answered SLVERR, and so is a run's last word while the run before it waits.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                **lite_ports(""),
                "runs": Out(stream.Signature(RUN_BITS)),
                "idle": In(1),
                "counters": In(COUNTERS_LAYOUT),
                "patience": Out(COUNTED),
                "abort": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        self.words = [Signal(WORD, name=each.name.lower()) for each in RUN]
        with m.If(self.runs.ready):
            m.d.sync += self.runs.valid.eq(0)
        m.d.sync += self.abort.eq(0)
        self._write(m)
        self._read(m)
        with m.If(self.abort):
            m.d.sync += self.runs.valid.eq(0)
        return m

    def _write(self, m: Module) -> None:
        """Address and data are taken together, when both are there and the answer before has been taken."""
        takes = Signal()
        m.d.comb += takes.eq(self.awvalid & self.wvalid & ~self.bvalid)
        m.d.comb += [self.awready.eq(takes), self.wready.eq(takes)]
        with m.If(self.bready):
            m.d.sync += self.bvalid.eq(0)
        with m.If(takes):
            m.d.sync += [self.bvalid.eq(1), self.bresp.eq(OKAY)]
            with m.Switch(self.awaddr[2:]):
                for register, word in zip(RUN, self.words, strict=True):
                    with m.Case(register.address >> 2):
                        if register is not RUN[-1]:
                            self._put(m, word)
                            continue
                        with m.If(self.runs.valid):
                            m.d.sync += self.bresp.eq(SLVERR)
                        with m.Else():
                            self._put(m, word)
                            # a copy: who goes on writing changes no run that waits
                            m.d.sync += self.runs.payload.eq(Cat(*self.words[:-1], self._changed(word)))
                            m.d.sync += self.runs.valid.eq(1)
                with m.Case(BY_NAME["PATIENCE"].address >> 2):
                    self._put(m, self.patience)
                with m.Case(BY_NAME["CONTROL"].address >> 2):
                    m.d.sync += self.abort.eq(self.wdata[0] & self.wstrb[0])
                with m.Default():
                    m.d.sync += self.bresp.eq(SLVERR)

    def _put(self, m: Module, register: Value) -> None:
        m.d.sync += register.eq(self._changed(register))

    def _changed(self, register: Value) -> Value:
        """What is written to a register: bytes without strobe stay."""
        parts = [slice(at, min(at + 8, len(register))) for at in range(0, len(register), 8)]
        return Cat(Mux(self.wstrb[byte], self.wdata[part], register[part]) for byte, part in enumerate(parts))

    def _read(self, m: Module) -> None:
        p, counters = self.parameters, self.counters
        others = COUNTERS[1:]
        kept = [Signal(WORD, name=f"kept_{name.lower()}") for name in others]
        takes = Signal()
        m.d.comb += [takes.eq(self.arvalid & ~self.rvalid), self.arready.eq(takes)]
        with m.If(self.rready):
            m.d.sync += self.rvalid.eq(0)
        given = {
            "ID": IDENTITY,
            "SIZE": p.rows | p.cols << 16,
            "STATUS": Cat(self.idle & ~self.runs.valid, self.runs.valid).shift_left(0) | counters.error << 8,
            "CYCLES": counters.cycles,
            "PATIENCE": self.patience,
            **{register.name: word for register, word in zip(RUN, self.words, strict=True)},
            **dict(zip(others, kept, strict=True)),
        }
        with m.If(takes):
            m.d.sync += [self.rvalid.eq(1), self.rresp.eq(OKAY)]
            with m.Switch(self.araddr[2:]):
                for name, value in given.items():
                    with m.Case(BY_NAME[name].address >> 2):
                        m.d.sync += self.rdata.eq(value)
                        if name == "CYCLES":
                            now = [counters[each.lower()] for each in others]
                            m.d.sync += [keep.eq(value) for keep, value in zip(kept, now, strict=True)]
                with m.Default():
                    m.d.sync += [self.rdata.eq(0), self.rresp.eq(SLVERR)]
