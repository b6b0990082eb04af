"""An array between registers, as something else on the same chip would stand around it: for its clock alone."""

from amaranth import Elaboratable, Module, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow

from rtl.array import SparseArray, block_verilog, blocks_verilog
from rtl.parameters import Parameters
from rtl.placing import as_instance

TOP = "registered"


class Registered(wiring.Component):
    """The ports of `inner`, each through a register. Streams do not keep their contract that way: nobody runs it."""

    def __init__(self, inner: wiring.Component) -> None:
        self.inner = inner
        super().__init__({**inner.signature.members})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.inner = self.inner
        outside = {path: port for path, _, port in self.signature.flatten(self)}
        for path, member, port in self.inner.signature.flatten(self.inner):
            name = "_".join(map(str, path))
            register = Signal(Shape.cast(member.shape).width, name=f"registered_{name}", reset_less=True)
            comes, goes = Value.cast(outside[path]), Value.cast(port)
            if member.flow is Flow.Out:
                comes, goes = goes, comes
            m.d.sync += register.eq(comes)
            m.d.comb += goes.eq(register)
        return m


def registered_verilog(p: Parameters) -> str:
    """Verilog of the array between registers, `registered` its top."""
    return blocks_verilog(p) + block_verilog(Registered(SparseArray(p, as_instance)), TOP)
