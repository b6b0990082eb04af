"""What is proven of the core's control: the slots that its counters know are those that there are."""

from collections.abc import Collection

from amaranth import Elaboratable, Module, Mux, ResetSignal, Signal
from amaranth.hdl import Assert, Assume
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from rtl.core.control import ControlShape, CoreControl

COUNTERS = ("slots are conserved", "no more full than there are", "no more empty than there are")


class CheckCounters(wiring.Component):
    """Engines that may do anything, but fill only what they claimed and free only what they took, and no two of which
    take from, or fill, one buffer. A slot is full, empty, on its way to be full, or in use."""

    def __init__(self, shape: ControlShape, properties: Collection[str] = COUNTERS) -> None:
        self._part, self._properties = CoreControl(shape), properties
        heads = {
            "heads": shape.engines * shape.command.size,
            "valid": shape.engines,
            "op": shape.op.size,
            "op_valid": 1,
        }
        events = {"ends": shape.engines, "filled": shape.buffers, "freed": shape.buffers}
        super().__init__({name: In(bits) for name, bits in (heads | events).items()})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.part = part = self._part
        shape, size = part.shape, part.shape.command.size
        m.d.comb += [
            part.ends.eq(self.ends),
            part.filled.eq(self.filled),
            part.freed.eq(self.freed),
            part.ops.valid.eq(self.op_valid),
            part.ops.payload.eq(self.op),
            Assume(~ResetSignal()),
        ]
        for number, queue in enumerate(part.commands):
            m.d.comb += [
                queue.valid.eq(self.valid[number]),
                queue.payload.eq(self.heads.word_select(number, size)),
            ]
        loads = part.ops.valid & part.ops.ready
        for buffer in range(shape.buffers):
            takers = [part.go[number] & queue.payload.takes[buffer] for number, queue in enumerate(part.commands)]
            fillers = [part.go[number] & queue.payload.fills[buffer] for number, queue in enumerate(part.commands)]
            coming, used = (Signal(8, name=f"{name}_{buffer}") for name in ("coming", "used"))
            slots = Signal(shape.slot_bits, name=f"slots_{buffer}")
            taken, claimed = sum(takers) != 0, sum(fillers) != 0
            m.d.comb += [
                Assume(sum(takers) <= 1),
                Assume(sum(fillers) <= 1),
                Assume(~self.filled[buffer] | (coming != 0) | claimed),
                Assume(~self.freed[buffer] | (used != 0) | taken),
            ]
            m.d.sync += [
                slots.eq(Mux(loads, part.ops.payload.slots[buffer], slots)),
                coming.eq(Mux(loads, 0, coming + claimed - self.filled[buffer])),
                used.eq(Mux(loads, 0, used + taken - self.freed[buffer])),
            ]
            full, empty = part.full[buffer], part.empty[buffer]
            held = {
                COUNTERS[0]: full + empty + coming + used == slots,
                COUNTERS[1]: full <= slots,
                COUNTERS[2]: empty <= slots,
            }
            m.d.comb += [Assert(held[name]) for name in self._properties]
        return m
