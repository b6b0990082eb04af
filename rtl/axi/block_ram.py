"""A block memory as the AXI4 slave of a core: its DRAM on a board without. The host reads and writes it too."""

from amaranth import Elaboratable, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from rtl.axi.master import ADDRESS_BITS, BEAT_BYTES, OKAY, master_ports
from rtl.counting import UNRACED
from workloads.errors import UserError

PREFIX = "s_axi_"
DECERR = 3  # the answer where there is no memory
LENGTH_BITS = 8
UNIT_BITS = BEAT_BYTES.bit_length() - 1


class BlockRam(wiring.Component):
    """`words` of 64 bits, a power of two, from address 0 on. s_axi: of `master_ports`; bursts one after the other, a
    beat a cycle, whole words.

    host_write, host_read: wanted by the host, at word `host_address`; done between two bursts, when `host_done` is
    high; what is read is on `host_word` in the next cycle.
    """

    def __init__(self, words: int) -> None:
        if words < 2 or words & words - 1:
            raise UserError(f"core: a block memory of {words} words; it has a power of two of them")
        self.words = words
        slave = {name: member.flip() for name, member in master_ports(PREFIX).items()}
        host = {"host_address": In(range(words)), "host_data": In(8 * BEAT_BYTES), "host_word": Out(8 * BEAT_BYTES)}
        super().__init__({**slave, **host, "host_write": In(1), "host_read": In(1), "host_done": Out(1)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.memory = memory = Memory(shape=8 * BEAT_BYTES, depth=self.words, init=[], attrs=UNRACED)
        write, read = memory.write_port(), memory.read_port()
        self._at, self._beyond = Signal(range(self.words)), Signal()
        left = Signal(LENGTH_BITS + 1)
        goes, wanted = Signal(), self.host_write | self.host_read
        m.d.comb += [
            write.addr.eq(Mux(self.host_done, self.host_address, self._at)),
            write.data.eq(Mux(self.host_done, self.host_data, self.s_axi_wdata)),
            read.addr.eq(Mux(self.host_done, self.host_address, self._at)),
            read.en.eq(self.host_done | goes),
            self.host_word.eq(read.data),
            self.s_axi_rdata.eq(read.data),
            self.s_axi_rresp.eq(Mux(self._beyond, DECERR, OKAY)),
            self.s_axi_bresp.eq(Mux(self._beyond, DECERR, OKAY)),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.host_done.eq(wanted), write.en.eq(self.host_write)]
                with m.If(~wanted & self.s_axi_awvalid):
                    m.d.comb += self.s_axi_awready.eq(1)
                    self._begin(m, self.s_axi_awaddr)
                    m.next = "WRITE"
                with m.Elif(~wanted & self.s_axi_arvalid):
                    m.d.comb += self.s_axi_arready.eq(1)
                    self._begin(m, self.s_axi_araddr)
                    m.d.sync += left.eq(self.s_axi_arlen + 1)
                    m.next = "READ"
            with m.State("WRITE"):
                m.d.comb += [self.s_axi_wready.eq(1), write.en.eq(self.s_axi_wvalid & ~self._beyond)]
                with m.If(self.s_axi_wvalid):
                    m.d.sync += self._at.eq(self._at + 1)
                    with m.If(self.s_axi_wlast):
                        m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += self.s_axi_bvalid.eq(1)
                with m.If(self.s_axi_bready):
                    m.next = "IDLE"
            with m.State("READ"):
                m.d.comb += goes.eq(~self.s_axi_rvalid | self.s_axi_rready)
                with m.If(goes):
                    m.d.sync += [
                        self._at.eq(self._at + 1),
                        left.eq(left - 1),
                        self.s_axi_rvalid.eq(left != 0),
                        self.s_axi_rlast.eq(left == 1),
                    ]
                    with m.If(left == 0):
                        m.next = "IDLE"
        return m

    def _begin(self, m: Module, address: Signal) -> None:
        """A burst, which is as a whole in the memory or beyond it: none crosses a boundary of 2 KiB."""
        place = address[UNIT_BITS:]
        m.d.sync += [
            self._at.eq(place),
            self._beyond.eq(place[(self.words - 1).bit_length() :] != 0),
        ]
        assert len(address) == ADDRESS_BITS
