"""The core with an AXI4 master for its DRAM and an AXI4-Lite slave for its host: what a block design connects to."""

from amaranth import ClockDomain, Elaboratable, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from rtl.axi.lite import OKAY, SLVERR, lite_ports
from rtl.axi.master import master_ports
from rtl.core.dma import PREFIX
from rtl.core.hosted import HostedCore
from rtl.core.registers import ADDRESS_BITS, CoreMap
from rtl.placing import Place, as_instance

LITE = "s_axi_"


def core_signature() -> wiring.Signature:
    """The ports of `AxiCore`, which are those of any core."""
    ports = {"aclk": In(1), "aresetn": In(1)}
    return wiring.Signature({**ports, **lite_ports(LITE, ADDRESS_BITS), **master_ports(PREFIX)})


class AxiCore(wiring.Component):
    """aclk, aresetn: clock, and a synchronous reset that is low. s_axi: the registers of `CoreMap`. m_axi: DRAM.

    Of a write of a register all four bytes count: a write with some of its strobes low is answered SLVERR and changes
    nothing, and so is a write or a read where there is nothing, and a word for a queue that is full.
    """

    def __init__(self, where: CoreMap, place: Place = as_instance) -> None:
        self.where, self.place = where, place
        super().__init__(core_signature())

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.domains.sync = clocked = ClockDomain()
        m.d.comb += [clocked.clk.eq(self.aclk), clocked.rst.eq(~self.aresetn)]
        m.submodules.hosted = self.hosted = hosted = HostedCore(self.where, self.place)
        for name, member in master_ports(PREFIX).items():
            ours, its = getattr(self, name), getattr(hosted, name)
            m.d.comb += its.eq(ours) if member.flow is In else ours.eq(its)
        self._writes(m)
        self._reads(m)
        return m

    def _writes(self, m: Module) -> None:
        """Address and data are taken together, when both are there and the answer before has been taken."""
        hosted, takes, whole = self.hosted, Signal(), Signal()
        m.d.comb += [
            takes.eq(self.s_axi_awvalid & self.s_axi_wvalid & ~self.s_axi_bvalid),
            whole.eq(self.s_axi_wstrb.all()),
            self.s_axi_awready.eq(takes),
            self.s_axi_wready.eq(takes),
            hosted.write_address.eq(self.s_axi_awaddr),
            hosted.write_data.eq(self.s_axi_wdata),
            hosted.write.eq(takes & whole),
        ]
        with m.If(self.s_axi_bready):
            m.d.sync += self.s_axi_bvalid.eq(0)
        with m.If(takes):
            m.d.sync += [self.s_axi_bvalid.eq(1), self.s_axi_bresp.eq(OKAY)]
            with m.If(~whole | hosted.full | hosted.unknown):
                m.d.sync += self.s_axi_bresp.eq(SLVERR)

    def _reads(self, m: Module) -> None:
        """A read is answered from the cycle after on; what the registers said then stays."""
        hosted, takes = self.hosted, Signal()
        m.d.comb += [
            takes.eq(self.s_axi_arvalid & ~self.s_axi_rvalid),
            self.s_axi_arready.eq(takes),
            hosted.read_address.eq(self.s_axi_araddr),
            hosted.read.eq(takes),
            self.s_axi_rdata.eq(hosted.read_data),
        ]
        with m.If(self.s_axi_rready):
            m.d.sync += self.s_axi_rvalid.eq(0)
        with m.If(takes):
            m.d.sync += self.s_axi_rvalid.eq(1)
        with m.If(hosted.nowhere):
            m.d.comb += self.s_axi_rresp.eq(SLVERR)
