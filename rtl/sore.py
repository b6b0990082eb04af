"""SORE, the sparse operand reduction: out of every group of up to m values, the n of largest magnitude, in their order.

One lane takes one value a cycle, so m cycles a group. It keeps the largest so far in the order of their indices, each
with its rank, and compares the newcomer with all of them at once: who is smaller loses a rank, and who falls out of the
last one leaves. Ties go to the lower index. Floats rank by the integers that their magnitudes are: NaN above infinity;
integers by their absolute value.
"""

from itertools import pairwise

from amaranth import Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from rtl.formats import FloatFormat, Format
from rtl.lanes import SoreParameters


def dense_layout(form: Format) -> StructLayout:
    """A dense value, and whether it is the last one of its group."""
    return StructLayout({"value": form.bits, "last": 1})


def packed_layout(parameters: SoreParameters) -> StructLayout:
    """A kept value, where it stood in its group, and whether it is the last one of its group."""
    return StructLayout({"value": parameters.form.bits, "index": parameters.index_bits, "last": 1})


class Sore(wiring.Component):
    """One lane that keeps up to `n` of up to `m` values.

    i: stream of `dense_layout`; `last` ends a group, which has at most m values. o: stream of `packed_layout`, in the
    order of the indices: min(keep, length of the group) of them. keep: how many to keep, from 1 to n, n unless
    connected; it must stand still while groups are inside. The first kept value is offered in the second cycle after
    the last dense one was taken, while the next group goes in; a group that is shorter than what was kept of the one
    before waits for the difference.
    """

    def __init__(self, parameters: SoreParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "i": In(stream.Signature(dense_layout(parameters.form))),
                "keep": In(range(parameters.n + 1), init=parameters.n),
                "o": Out(stream.Signature(packed_layout(parameters))),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.kept = kept = Largest(self.parameters)
        entry = kept.entry
        leaving = [
            Signal(StructLayout(entry), name=f"leaving_{place}", reset_less=True) for place in range(self.parameters.n)
        ]
        left = Signal(range(self.parameters.n + 1))
        full = Signal()  # a whole group waits to move on
        move, pop = Signal(), Signal()
        m.d.comb += [
            pop.eq(self.o.valid & self.o.ready),
            move.eq(full & ((left == 0) | (pop & (left == 1)))),
            self.i.ready.eq(~full | move),
            kept.value.eq(self.i.payload.value),
            kept.take.eq(self.i.valid & self.i.ready),
            kept.start.eq(move),
            kept.keep.eq(self.keep),
            self.o.valid.eq(left != 0),
            self.o.payload.value.eq(leaving[0].value),
            self.o.payload.index.eq(leaving[0].index),
            self.o.payload.last.eq(left == 1),
        ]
        with m.If(pop):
            m.d.sync += left.eq(left - 1)
            m.d.sync += [here.eq(following) for here, following in pairwise(leaving)]
        with m.If(move):
            m.d.sync += [left.eq(kept.count), full.eq(0)]
            m.d.sync += [here.eq(Cat(kept.values[place], kept.indices[place])) for place, here in enumerate(leaving)]
        with m.If(kept.take & self.i.payload.last):
            m.d.sync += full.eq(1)
        return m


class Largest(wiring.Component):
    """The largest values so far of one group, in the order of their indices.

    take: `value` is the group's next one. start: what is kept is dropped; a value taken in the same cycle is the first
    of the next group. count: values kept. values, indices: the first `count` of them count.
    """

    def __init__(self, parameters: SoreParameters) -> None:
        self.form, self.n = parameters.form, parameters.n
        self.entry = {"value": self.form.bits, "index": parameters.index_bits}
        super().__init__(
            {
                "value": In(self.form.bits),
                "take": In(1),
                "start": In(1),
                "keep": In(range(self.n + 1)),
                "count": Out(range(self.n + 1)),
                "values": Out(self.form.bits).array(self.n),
                "indices": Out(self.entry["index"]).array(self.n),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        index = Signal(self.entry["index"])
        count, place = Signal.like(self.count), Signal.like(index)  # as the newcomer finds them
        m.d.comb += [count.eq(Mux(self.start, 0, self.count)), place.eq(Mux(self.start, 0, index))]
        m.d.sync += [self.count.eq(count), index.eq(place)]
        room, size = Signal(), _size(self.form, self.value)
        m.d.comb += room.eq(count != self.keep)
        slots = [Signal(StructLayout(self._slot()), name=f"slot_{number}") for number in range(self.n)]
        smaller = Signal(self.n)
        m.d.comb += smaller.eq(
            Cat((count > number) & (_size(self.form, slot.value) < size) for number, slot in enumerate(slots))
        )
        newcomer = {
            "value": self.value,
            "index": place,
            "rank": _ones(Cat((count > number) & ~smaller[number] for number in range(self.n))),
        }
        with m.If(self.take):
            m.d.sync += [self.count.eq(count + room), index.eq(place + 1)]
            self._move(m, slots, smaller, newcomer, room, Mux(room, count, self.keep - 1))
        m.d.comb += [self.values[number].eq(slot.value) for number, slot in enumerate(slots)]
        m.d.comb += [self.indices[number].eq(slot.index) for number, slot in enumerate(slots)]
        return m

    def _slot(self) -> dict[str, object]:
        return {**self.entry, "rank": range(self.n)}

    def _move(
        self, m: Module, slots: list[Value], smaller: Value, newcomer: dict[str, Value], room: Value, at: Value
    ) -> None:
        """The newcomer goes to place `at`, into room, or behind the others, which close up where one has left."""
        fresh = Signal.like(slots[0], name="newcomer")
        m.d.comb += [fresh[name].eq(value) for name, value in newcomer.items()]
        ranked = [Signal.like(slot, name=f"ranked_{number}") for number, slot in enumerate(slots)]
        gone = Signal(self.n)  # this one, or one before it, has left
        leaves = [less & ~room & (slot.rank == self.keep - 1) for less, slot in zip(smaller, slots, strict=True)]
        m.d.comb += gone.eq(Cat(Cat(leaves[: number + 1]).any() for number in range(self.n)))
        for number, (slot, after) in enumerate(zip(slots, ranked, strict=True)):
            m.d.comb += [after.eq(slot), after.rank.eq(slot.rank + smaller[number])]
            following = ranked[number + 1] if number + 1 < self.n else fresh
            with m.If((at == number) & (room | gone[number])):
                m.d.sync += slot.eq(fresh)
            with m.Elif(gone[number]):
                m.d.sync += slot.eq(following)
            with m.Else():
                m.d.sync += slot.eq(after)


def _size(form: Format, value: Value) -> Value:
    return value[:-1] if isinstance(form, FloatFormat) else abs(value.as_signed())


def _ones(flags: Value) -> Value:
    return sum(flags[1:], flags[0])
