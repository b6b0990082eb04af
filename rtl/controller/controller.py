"""The array behind its commands: what each of them does, item by item, and what it answers."""

from amaranth import Array, Cat, Const, Elaboratable, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Component, In, Out

from rtl.array import SparseArray
from rtl.controller.decoder import Decoder
from rtl.controller.gatherer import Gatherer
from rtl.controller.replier import Replier
from rtl.counting import later
from rtl.lanes import Lanes, lane_bytes
from rtl.parameters import Parameters
from rtl.placing import Place, as_submodule
from rtl.protocol import COUNTERS_BYTES, IDENTITY_BYTES, Gateware, identity, item_bytes
from rtl.run import Error
from rtl.sore import Sore
from rtl.wuve import Wuve

NONE = Lanes()
PATIENCE = 1 << 16  # cycles: a run comes behind all that it takes, and what runs before it gave was read


class Controller(wiring.Component):
    """commands, replies: streams of bytes. idle: nothing goes on, and nothing will before another byte comes.

    lanes: what is beside the array.

    A command for a channel there is not, or of an unknown letter, is taken and does nothing; 'O' answers nothing then.
    While the array has stopped with an error, items are taken and forgotten, and sums are zero.
    """

    def __init__(self, parameters: Parameters, place: Place = as_submodule, lanes: Lanes = NONE) -> None:
        self.parameters, self.place, self.lanes = parameters, place, lanes
        super().__init__({"commands": In(stream.Signature(8)), "replies": Out(stream.Signature(8)), "idle": Out(1)})

    def elaborate(self, platform: object) -> Elaboratable:
        m, p = Module(), self.parameters
        size, beside = item_bytes(p), lane_bytes(p, self.lanes)
        lengths = {"W": size.west, "N": size.north, "S": size.sum, "R": size.run}
        lengths |= {"G": beside.dense} if self.lanes.sore else {}
        lengths |= {"V": beside.constants, "U": beside.before} if self.lanes.optimizer else {}
        m.submodules.array = self.array = array = SparseArray(p, self.place)
        m.submodules.decoder = decoder = Decoder()
        m.submodules.gatherer = gatherer = Gatherer(lengths)
        replier = Replier(max(IDENTITY_BYTES, COUNTERS_BYTES, size.sum, beside.kept, beside.after))
        wiring.connect(m, wiring.flipped(self.commands), decoder.bytes)
        wiring.connect(m, decoder.items, gatherer.bytes)
        wiring.connect(m, replier.bytes, wiring.flipped(self.replies))
        command, done = decoder.command.payload, decoder.command.ready
        # the letter and the channel stand still for cycles before the command is whole
        is_ = {
            each: decoder.command.valid & later(m, command.letter == ord(each), 1, each) for each in (*lengths, *"OCIA")
        }
        self.at = [later(m, command.channel == each, 1, f"at_{each}") for each in range(max(p.rows, p.cols))]
        busy = Signal()
        m.d.comb += [
            array.patience.eq(PATIENCE),
            gatherer.letter.eq(command.letter),
            gatherer.count.eq(command.count),
            gatherer.active.eq(Cat(*(is_[letter] for letter in lengths)).any()),
            done.eq(~Cat(*is_.values()).any()),  # an unknown letter
            self.idle.eq(array.idle & decoder.waits & replier.free & ~busy),
        ]
        with m.If(gatherer.active):
            # what comes of a lane's items goes out before anything else
            m.d.comb += done.eq(gatherer.done & ~busy)
        self._distribute(m, {letter: is_[letter] for letter in lengths}, gatherer.item, lengths)
        self._lanes(m, replier, command.channel, busy)
        self._answer(m, replier, command, is_, done)
        m.submodules.replier = replier
        return m

    def _distribute(self, m: Module, is_: dict[str, Value], item: stream.Interface, lengths: dict) -> None:
        """An item goes to the stream that its letter and channel name."""
        array, self.push, self.pushed, self.item = self.array, {}, {}, {}
        for letter, length in lengths.items():
            push, pushed = Signal(name=f"push_{letter}"), Signal(name=f"pushed_{letter}", init=1)
            self.push[letter], self.pushed[letter] = push, pushed
            self.item[letter] = item.payload[len(item.payload) - 8 * length :]
            m.d.comb += push.eq(is_[letter] & item.valid)
            with m.If(is_[letter]):
                m.d.comb += item.ready.eq(pushed)
        stopped = array.counters.error != Error.NONE
        for letter, streams in (("W", array.west), ("N", array.north), ("S", array.seeds)):
            for number, each in enumerate(streams):
                m.d.comb += each.payload.eq(self.item[letter])
                with m.If(self.at[number]):
                    m.d.comb += [each.valid.eq(self.push[letter]), self.pushed[letter].eq(each.ready | stopped)]
        m.d.comb += [
            array.run.payload.eq(self.item["R"]),
            array.run.valid.eq(self.push["R"]),
            self.pushed["R"].eq(array.run.ready | stopped),
        ]

    def _answer(self, m: Module, replier: Replier, command: Value, is_: dict[str, Value], done: Signal) -> None:
        """Sums, counters, identity; abort."""
        p, array, left, channel = self.parameters, self.array, Signal(16), command.channel
        said = identity(Gateware(p, self.lanes))
        stopped = array.counters.error != Error.NONE
        sums = Array(each.payload for each in array.results)
        there = Array(each.valid for each in array.results)
        begun, picks, says = Signal(), Signal(), Signal()  # a sum is picked, and said in the next cycle
        nothing = (command.count == 0) | (channel >= p.cols)
        m.d.sync += [begun.eq(is_["O"] & ~done), says.eq(picks)]
        with m.If(is_["O"]):
            m.d.comb += [
                picks.eq(begun & replier.free & (there[channel] | stopped) & ~nothing & ~says),
                done.eq(nothing | (says & (left == 1))),
            ]
            m.d.sync += left.eq(left - says)
            with m.If(~begun):
                m.d.sync += left.eq(command.count)
        for number, each in enumerate(array.results):
            m.d.comb += each.ready.eq(says & self.at[number])
        counters, itself = is_["C"] & array.idle & replier.free, is_["I"] & replier.free
        with m.If(is_["C"] | is_["I"]):
            m.d.comb += done.eq(counters | itself)
        with m.If(is_["A"]):
            m.d.comb += [array.abort_all.eq(1), done.eq(1)]
        text = Const(int.from_bytes(said, "little"), 8 * IDENTITY_BYTES)
        sum_ = Signal(p.accumulator.bits)
        with m.If(~stopped):
            m.d.comb += sum_.eq(sums[channel])
        replier.say(says, sum_, p.accumulator.bits // 8)
        replier.say(counters, array.counters.as_value(), COUNTERS_BYTES)
        replier.say(itself, text, IDENTITY_BYTES)

    def _lanes(self, m: Module, replier: Replier, channel: Value, busy: Signal) -> None:
        """The lanes, whose results become replies as they come; `busy` while something is in them."""
        p, beside, inside = self.parameters, lane_bytes(self.parameters, self.lanes), [Const(0)]
        if self.lanes.sore:
            m.submodules.sore = sore = Sore(self.lanes.sore_lane(p))
            item, out = self.item["G"], sore.o.payload
            value = item[: p.operand.bits]
            m.d.comb += [sore.i.payload.value.eq(value), sore.i.payload.last.eq(item[p.operand.bits])]
            m.d.comb += sore.keep.eq(channel)
            text = Cat(out.value, out.index, Const(0, 7 - len(out.index)), out.last)
            inside.append(self._lane(m, replier, "G", sore, (sore.i.payload.last, out.last), text, beside.kept))
        if self.lanes.optimizer:
            m.submodules.wuve = wuve = Wuve(self.lanes.update_lane(p))
            constants = Signal(wuve.constants.shape().size)
            m.d.comb += [wuve.i.payload.eq(self.item["U"]), wuve.constants.eq(constants)]
            with m.If(self.push["V"]):
                m.d.sync += constants.eq(self.item["V"])
            out = wuve.o.payload.as_value()
            inside.append(self._lane(m, replier, "U", wuve, (Const(1), Const(1)), out, beside.after))
        m.d.comb += busy.eq(Cat(*inside).any())

    def _lane(
        self,
        m: Module,
        replier: Replier,
        letter: str,
        lane: Component,
        counts: tuple[Value, Value],
        text: Value,
        length: int,
    ) -> Value:
        """A lane's streams; which items in and out count says whether something is inside."""
        inside = Signal(16, name=f"inside_{letter}")
        taken, given = lane.i.valid & lane.i.ready & counts[0], lane.o.valid & lane.o.ready & counts[1]
        m.d.comb += [lane.i.valid.eq(self.push[letter]), self.pushed[letter].eq(lane.i.ready)]
        m.d.comb += lane.o.ready.eq(replier.free)
        m.d.sync += inside.eq(inside + taken - given)
        replier.say(lane.o.valid & lane.o.ready, text, length)
        return inside != 0
