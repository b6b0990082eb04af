"""Load, run, read: the array behind a stream of bytes (`rtl.protocol`), with queues for what it takes and gives."""

from amaranth import Array, Cat, Const, Elaboratable, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import Component, In, Out

from rtl.array import SparseArray
from rtl.control import COUNTERS
from rtl.lanes import Lanes, lane_bytes
from rtl.parameters import Parameters
from rtl.placing import Place, as_submodule
from rtl.protocol import COUNTERS_BYTES, IDENTITY_BYTES, Gateware, identity, item_bytes
from rtl.sore import Sore
from rtl.wuve import Wuve

NONE = Lanes()


class Controller(wiring.Component):
    """commands, replies: streams of bytes. idle: nothing goes on, and nothing will before another byte comes.

    weights: weights that wait a column. lanes: what is beside the array.

    A command for a channel there is not, or of an unknown letter, is taken and does nothing; 'O' answers nothing then.
    """

    def __init__(
        self, parameters: Parameters, weights: int = 256, place: Place = as_submodule, lanes: Lanes = NONE
    ) -> None:
        self.parameters, self.weights, self.place, self.lanes = parameters, weights, place, lanes
        super().__init__({"commands": In(stream.Signature(8)), "replies": Out(stream.Signature(8)), "idle": Out(1)})

    def elaborate(self, platform: object) -> Elaboratable:
        m, p = Module(), self.parameters
        m.submodules.array = self.array = array = SparseArray(p, self.place)
        size, beside = item_bytes(p), lane_bytes(p, self.lanes)
        self.bytes_of = {"W": size.west, "N": size.north, "S": size.sum, "R": size.run}
        self.bytes_of |= {"G": beside.dense} if self.lanes.sore else {}
        self.bytes_of |= {"V": beside.constants, "U": beside.before} if self.lanes.optimizer else {}
        self.item = Signal(8 * max(self.bytes_of.values()))
        self.push = {kind: Signal(name=f"push_{kind}") for kind in self.bytes_of}
        self.pushed = {kind: Signal(name=f"pushed_{kind}") for kind in self.bytes_of}
        self.channel = Signal(8)
        m.d.comb += [
            array.run_valid.eq(self.push["R"]),
            array.run_payload.eq(self.item),
            self.pushed["R"].eq(array.run_ready),
            array.west_payload.eq(Cat(*[self.item[: len(array.west_payload) // p.rows]] * p.rows)),
            array.west_valid.eq(self.push["W"] << self.channel),
            self.pushed["W"].eq((array.west_ready >> self.channel)[0] | (self.channel >= p.rows)),
        ]
        self._queues(m, "N", "north", self.weights, p.weight_bits)
        self._queues(m, "S", "seed", p.results, p.accumulator.bits)
        self._talk(m)
        return m

    def _queues(self, m: Module, kind: str, name: str, depth: int, width: int) -> None:
        """A queue for every column's weights or seeds."""
        p, array, oks = self.parameters, self.array, []
        for number in range(p.cols):
            queue = m.submodules[f"{name}_{number}"] = SyncFIFOBuffered(width=width, depth=depth)
            chosen = self.channel == number
            oks.append(~chosen | queue.w_rdy)
            m.d.comb += [
                queue.w_data.eq(self.item),
                queue.w_en.eq(self.push[kind] & chosen),
                getattr(array, f"{name}_valid")[number].eq(queue.r_rdy),
                getattr(array, f"{name}_payload").word_select(number, width).eq(queue.r_data),
                queue.r_en.eq(getattr(array, f"{name}_ready")[number]),
            ]
        m.d.comb += self.pushed[kind].eq(Cat(oks).all())

    def _talk(self, m: Module) -> None:
        """Commands in, items to their queues, replies out."""
        p, array, size = self.parameters, self.array, item_bytes(self.parameters)
        letter, count, byte = Signal(8), Signal(16), Signal(range(64))
        reply, left = Signal(8 * max(IDENTITY_BYTES, COUNTERS_BYTES)), Signal(range(64))
        said = identity(Gateware(p, self.weights, self.lanes))
        came, payload = self.commands.valid, self.commands.payload
        sums = Array(array.result_payload.word_select(number, p.accumulator.bits) for number in range(p.cols))
        there = (array.result_valid >> self.channel)[0]
        waits = Signal()  # for another byte
        busy = self._beside(m, reply, left)
        m.d.comb += self.idle.eq(array.idle & waits & (left == 0) & ~busy)
        m.d.comb += [self.replies.valid.eq(left != 0), self.replies.payload.eq(reply[:8])]
        with m.If(self.replies.valid & self.replies.ready):
            m.d.sync += [reply.eq(reply >> 8), left.eq(left - 1)]
        with m.FSM():
            for state, register, following in (
                ("LETTER", letter, "CHANNEL"),
                ("CHANNEL", self.channel, "LOW"),
                ("LOW", count[:8], "HIGH"),
                ("HIGH", count[8:], "WHICH"),
            ):
                with m.State(state):
                    m.d.comb += [self.commands.ready.eq(1), waits.eq(~came)]
                    with m.If(came):
                        m.d.sync += register.eq(payload)
                        m.next = following
            with m.State("WHICH"), m.Switch(letter):
                for kind in self.bytes_of:
                    with m.Case(ord(kind)):
                        m.next = f"GATHER_{kind}"
                        with m.If(count == 0):
                            m.next = "LETTER"
                with m.Case(ord("O")):
                    m.next = "SUMS"
                    with m.If((count == 0) | (self.channel >= p.cols)):
                        m.next = "LETTER"
                for kind, text, length, when in (
                    ("C", array.counters, COUNTERS_BYTES, array.idle),
                    ("I", Const(int.from_bytes(said, "little"), 8 * IDENTITY_BYTES), IDENTITY_BYTES, 1),
                ):
                    with m.Case(ord(kind)), m.If((left == 0) & when):
                        m.d.sync += [reply.eq(text), left.eq(length)]
                        m.next = "LETTER"
                with m.Default():
                    m.next = "LETTER"
            for kind, length in self.bytes_of.items():
                self._gather(m, kind, length, byte, count, waits)
            with m.State("LANE"), m.If(~busy):
                m.next = "LETTER"
            with m.State("SUMS"), m.If((left == 0) & there):
                m.d.comb += array.result_ready.eq(1 << self.channel)
                m.d.sync += [reply.eq(sums[self.channel]), left.eq(size.sum), count.eq(count - 1)]
                with m.If(count == 1):
                    m.next = "LETTER"

    def _gather(self, m: Module, kind: str, length: int, byte: Value, count: Value, waits: Value) -> None:
        """The bytes of an item, then the item to where it belongs."""
        with m.State(f"GATHER_{kind}"):
            m.d.comb += [self.commands.ready.eq(1), waits.eq(~self.commands.valid)]
            with m.If(self.commands.valid):
                low = Cat(self.item[8 : 8 * length], self.commands.payload)
                m.d.sync += [self.item.eq(low), byte.eq(byte + 1)]
                with m.If(byte == length - 1):
                    m.d.sync += byte.eq(0)
                    m.next = f"PUSH_{kind}"
        with m.State(f"PUSH_{kind}"):
            m.d.comb += self.push[kind].eq(1)
            with m.If(self.pushed[kind]):
                m.d.sync += count.eq(count - 1)
                m.next = f"GATHER_{kind}"
                with m.If(count == 1):
                    m.next = "LANE" if kind in "GU" else "LETTER"  # what comes of it goes out before anything else

    def _beside(self, m: Module, reply: Signal, left: Signal) -> Value:
        """The lanes, whose results become replies as they come; returns whether something is in them."""
        p, beside, busy = self.parameters, lane_bytes(self.parameters, self.lanes), [Const(0)]
        if self.lanes.sore:
            m.submodules.sore = sore = Sore(self.lanes.sore_lane(p))
            value = self.item[: p.operand.bits]
            m.d.comb += [sore.i.payload.value.eq(value), sore.i.payload.last.eq(self.item[p.operand.bits])]
            m.d.comb += sore.keep.eq(self.channel)
            out = sore.o.payload
            text = Cat(out.value, out.index, Const(0, 7 - len(out.index)), out.last)
            busy.append(self._lane(m, "G", sore, (sore.i.payload.last, out.last), text, (reply, left, beside.kept)))
        if self.lanes.optimizer:
            m.submodules.wuve = wuve = Wuve(self.lanes.update_lane(p))
            constants = Signal(wuve.constants.shape().size)
            m.d.comb += [wuve.i.payload.eq(self.item), wuve.constants.eq(constants), self.pushed["V"].eq(1)]
            with m.If(self.push["V"]):
                m.d.sync += constants.eq(self.item)
            out = wuve.o.payload.as_value()
            busy.append(self._lane(m, "U", wuve, (Const(1), Const(1)), out, (reply, left, beside.after)))
        return Cat(busy).any()

    def _lane(
        self, m: Module, kind: str, lane: Component, counts: tuple[Value, Value], text: Value, to: tuple
    ) -> Value:
        """A lane's streams; which items in and out count says whether something is inside."""
        reply, left, length = to
        inside = Signal(16, name=f"inside_{kind}")
        taken, given = lane.i.valid & lane.i.ready & counts[0], lane.o.valid & lane.o.ready & counts[1]
        m.d.comb += [lane.i.valid.eq(self.push[kind]), self.pushed[kind].eq(lane.i.ready)]
        m.d.comb += lane.o.ready.eq(left == 0)
        m.d.sync += inside.eq(inside + taken - given)
        with m.If(lane.o.valid & lane.o.ready):
            m.d.sync += [reply.eq(text), left.eq(length)]
        return inside != 0


assert COUNTERS.size == 8 * COUNTERS_BYTES
