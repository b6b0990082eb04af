"""The core's control: which engine begins its next command, and in which cycle. It is all the control that there is.

Every engine has a queue of commands and carries them out in order. A command begins when its engine is free, a full
slot of every buffer that it takes is there, and an empty slot of every buffer that it fills. Two counters a buffer say
so: `full` and `empty`. They move at the clock edge that ends a cycle, and a command begins by registers alone, so that
no path leads from one engine to another. An engine therefore says in its *last* working cycle that it ends: a command
of 3 cycles that begins in cycle 10 says so in cycle 12, and whoever waits for a slot of its begins in cycle 13.

Between two ops there is a barrier and no cycle: in the last cycle of an op the counters load the slots of the next one.
"""

from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import final

from amaranth import Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out

from workloads.errors import UserError

MOST_SLOT_BITS = 8


@final
@dataclass(frozen=True)
class ControlShape:
    """How many engines and buffers a control has, and the bits that count the slots of a buffer."""

    engines: int = 5  # DMA, SORE, transposer, array, WUVE
    buffers: int = 6  # the most that a program of the systolic compiler has
    slot_bits: int = 2  # its buffers have one slot or two

    def __post_init__(self) -> None:
        if min(self.engines, self.buffers) < 1 or not 1 <= self.slot_bits <= MOST_SLOT_BITS:
            raise UserError(
                f"core: {self.engines} engines, {self.buffers} buffers and {self.slot_bits} bits for slots; wanted is "
                f"one or more, and at most {MOST_SLOT_BITS} bits"
            )

    @property
    def most_slots(self) -> int:
        """Slots that a buffer can have."""
        return 2**self.slot_bits - 1

    @property
    def command(self) -> StructLayout:
        """What the control sees of a command: a bit for each buffer that it takes or fills, and if it ends the op."""
        return StructLayout({"takes": self.buffers, "fills": self.buffers, "last": 1})

    @property
    def op(self) -> StructLayout:
        """An op: the slots of every buffer, and which engines have commands in it."""
        return StructLayout({"slots": ArrayLayout(self.slot_bits, self.buffers), "active": self.engines})


class CoreControl(wiring.Component):
    """commands: what each engine is to do next. ops: the ops that they belong to.

    go: an engine's command begins in this cycle, and is taken. ends: an engine works in the last cycle of its command.
    filled, freed: a slot of a buffer is full, or empty, from the next cycle on; each buffer has one engine that fills
    it and one that frees it. running: an op is carried out; over: this is its last cycle. lacking: for each engine that
    could begin, the buffers without a slot for it.
    """

    def __init__(self, shape: ControlShape) -> None:
        self.shape = shape
        engines, buffers = shape.engines, shape.buffers
        super().__init__(
            {
                "commands": In(stream.Signature(shape.command)).array(engines),
                "ops": In(stream.Signature(shape.op)),
                "go": Out(engines),
                "ends": In(engines),
                "filled": In(buffers),
                "freed": In(buffers),
                "running": Out(1),
                "over": Out(1),
                "lacking": Out(ArrayLayout(buffers, engines)),
            }
        )
        self.full = [Signal(shape.slot_bits, name=f"full_{number}") for number in range(buffers)]
        self.empty = [Signal(shape.slot_bits, name=f"empty_{number}") for number in range(buffers)]

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        busy, left, held_last = (Signal(self.shape.engines, name=name) for name in ("busy", "left", "held_last"))
        no_full = Cat(count == 0 for count in self.full)
        no_empty = Cat(count == 0 for count in self.empty)
        finishing = Signal(self.shape.engines)
        for number, queue in enumerate(self.commands):
            head, begins = queue.payload, self.go[number]
            could = Signal(name=f"could_{number}")
            lacks = Signal(self.shape.buffers, name=f"lacks_{number}")
            m.d.comb += [
                could.eq(self.running & queue.valid & left[number] & ~busy[number]),
                lacks.eq((head.takes & no_full) | (head.fills & no_empty)),
                begins.eq(could & ~lacks.any()),
                queue.ready.eq(begins),
                self.lacking[number].eq(Mux(could, lacks, 0)),
                finishing[number].eq(self.ends[number] & Mux(begins, head.last, held_last[number])),
            ]
            with m.If(begins):
                m.d.sync += held_last[number].eq(head.last)
        m.d.sync += [busy.eq((busy | self.go) & ~self.ends), left.eq(left & ~finishing)]
        m.d.comb += [
            self.over.eq(self.running & ~(left & ~finishing).any()),
            self.ops.ready.eq(~self.running | self.over),
        ]
        with m.If(self.over):
            m.d.sync += self.running.eq(0)
        self._count(m)
        with m.If(self.ops.ready & self.ops.valid):
            m.d.sync += [self.running.eq(1), left.eq(self.ops.payload.active)]
        return m

    def _count(self, m: Module) -> None:
        """Each buffer has one engine that takes from it and one that fills it, so a counter moves by one at most."""
        taken, claimed = (self._begun(which) for which in ("takes", "fills"))
        loads = self.ops.ready & self.ops.valid
        for number, (full, empty) in enumerate(zip(self.full, self.empty, strict=True)):
            m.d.sync += [
                full.eq(Mux(loads, 0, full + self.filled[number] - taken[number])),
                empty.eq(Mux(loads, self.ops.payload.slots[number], empty + self.freed[number] - claimed[number])),
            ]

    def _begun(self, which: str) -> Value:
        """The buffers of all commands that begin in this cycle."""
        found = (Mux(self.go[number], queue.payload[which], 0) for number, queue in enumerate(self.commands))
        return reduce(or_, found)
