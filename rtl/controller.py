"""Load, run, read: the array behind a stream of bytes (`rtl.protocol`), with queues for what it takes and gives."""

from amaranth import Array, Cat, Const, Elaboratable, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from rtl.array import SparseArray
from rtl.control import COUNTERS
from rtl.parameters import Parameters
from rtl.placing import Place, as_submodule
from rtl.protocol import COUNTERS_BYTES, IDENTITY_BYTES, Gateware, identity, item_bytes


class Controller(wiring.Component):
    """commands, replies: streams of bytes. idle: nothing goes on, and nothing will before another byte comes.

    weights: weights that wait a column.

    A command for a channel there is not, or of an unknown letter, is taken and does nothing; 'O' answers nothing then.
    """

    def __init__(self, parameters: Parameters, weights: int = 256, place: Place = as_submodule) -> None:
        self.parameters, self.weights, self.place = parameters, weights, place
        super().__init__({"commands": In(stream.Signature(8)), "replies": Out(stream.Signature(8)), "idle": Out(1)})

    def elaborate(self, platform: object) -> Elaboratable:
        m, p = Module(), self.parameters
        m.submodules.array = self.array = array = SparseArray(p, self.place)
        size = item_bytes(p)
        self.item = Signal(8 * max(size.west, size.north, size.sum, size.run))
        self.push = {kind: Signal(name=f"push_{kind}") for kind in "WNSR"}
        self.pushed = {kind: Signal(name=f"pushed_{kind}") for kind in "WNSR"}
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
        said = identity(Gateware(p, self.weights))
        bytes_of = {"W": size.west, "N": size.north, "S": size.sum, "R": size.run}
        came, payload = self.commands.valid, self.commands.payload
        sums = Array(array.result_payload.word_select(number, p.accumulator.bits) for number in range(p.cols))
        there = (array.result_valid >> self.channel)[0]
        waits = Signal()  # for another byte
        m.d.comb += self.idle.eq(array.idle & waits & (left == 0))
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
                for kind in bytes_of:
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
            for kind, length in bytes_of.items():
                self._gather(m, kind, length, byte, count, waits)
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
                    m.next = "LETTER"


assert COUNTERS.size == 8 * COUNTERS_BYTES
