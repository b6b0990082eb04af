"""What the array is told, cycle by cycle: the loops of a run, made for the first row and the first column.

Rows and columns further on hear the same later (`rtl.array`). From the first token to the last sum at the last column a
run takes exactly the cycles that `rtl.timing` gives.
"""

from amaranth import Elaboratable, EnableInserter, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.control import Op, entry_bits, row_token, run_layout
from rtl.parameters import Parameters

WEIGHT = data.StructLayout({"use": 1, "release": 1})  # a column's weight is used; and was for the last time


def store_token(p: Parameters) -> data.StructLayout:
    """Weight number `slot` of row `row` passes by."""
    return data.StructLayout({"valid": 1, "row": max(1, (p.rows - 1).bit_length()), "slot": p.slot_bits})


class Sequencer(wiring.Component):
    """runs: stream of `run_layout`. run: the one going on. finished: its last sum leaves the array.

    row: token of the first row. store: which row keeps the weights passing by. weight: token of the first column.
    shift, shift_slot: all rows at once let accumulators go south, `seeding` with seeds coming in from the north.
    active, loading, draining: what the cycle is spent on.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        super().__init__(
            {
                "runs": In(stream.Signature(run_layout())),
                "en": In(1),
                "finished": In(1),
                "run": Out(run_layout()),
                "row": Out(row_token(p)),
                "store": Out(store_token(p)),
                "weight": Out(WEIGHT),
                "shift": Out(1),
                "shift_slot": Out(p.slot_bits),
                "seeding": Out(1),
                "active": Out(1),
                "loading": Out(1),
                "draining": Out(1),
            }
        )
        self.base = Signal(entry_bits(p))  # the next group of operands that was never used
        self.turn = Signal(8)  # output within a round, phase within a period, or accumulator on its way
        self.weight_number = Signal(8)
        self.count = Signal(16)  # row or cycle
        self.group = Signal(16)
        self.segment = Signal(16)
        self.position = Signal(signed(17))  # of the weight at hand: negative before the first
        self.newest = Signal(16)
        self.tail, self.begun = Signal(), Signal()

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        with m.FSM() as fsm:
            with m.State("IDLE"):
                self._idle(m)
            with m.State("LOAD"):
                self._load(m)
            with m.State("WEIGHT"):
                self._weight(m)
            with m.State("SEED"):
                self._shift(m, "OUTPUT")
                m.d.comb += self.seeding.eq(1)
            with m.State("OUTPUT"):
                self._output(m)
            with m.State("PAD"):
                m.d.sync += self.count.eq(self.count - 1)
                with m.If(self.count == 1):
                    self._next_group(m)
            with m.State("FLUSH"):
                m.d.sync += self.count.eq(self.count + 1)
                with m.If(self.count == self._flush - 1):
                    m.d.sync += self.count.eq(0)
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                self._shift(m, "END")
            with m.State("END"), m.If(self.finished):
                m.next = "IDLE"
            m.d.comb += [
                self.active.eq(~fsm.ongoing("IDLE")),
                self.loading.eq(fsm.ongoing("LOAD") | fsm.ongoing("SEED")),
                self.draining.eq(fsm.ongoing("DRAIN")),
            ]
        return EnableInserter(self.en)(m)

    @property
    def _flush(self) -> int:
        """Cycles until the last sum of the first column's last row is there."""
        return self.parameters.rows - 1 + self.parameters.adder_latency - 1

    def _idle(self, m: Module) -> None:
        run = self.runs.payload
        m.d.comb += self.runs.ready.eq(self.en)
        counters = (self.count, self.group, self.segment, self.turn, self.weight_number, self.newest)
        m.d.sync += [each.eq(0) for each in (*counters, self.position, self.begun)]
        with m.If(self.runs.valid):
            m.d.sync += [self.run.eq(run), self.tail.eq(run.groups == 0)]
            with m.If(run.stationary_weights):
                m.next = "LOAD"
            with m.Elif(run.seed):
                m.d.sync += self.turn.eq(run.interleave)
                m.next = "SEED"
            with m.Else():
                m.next = "OUTPUT"

    def _load(self, m: Module) -> None:
        """Weights of row after row, one a cycle a column."""
        m.d.comb += [
            self.weight.eq(-1),
            self.store.valid.eq(1),
            self.store.row.eq(self.count),
            self.store.slot.eq(self.turn),
        ]
        m.d.sync += self.turn.eq(self.turn + 1)
        with m.If(self.turn == self.run.kept):
            m.d.sync += [self.turn.eq(0), self.count.eq(self.count + 1)]
            with m.If(self.count == self.parameters.rows - 1):
                m.next = "WEIGHT"

    def _weight(self, m: Module) -> None:
        """A period: weight j works on the position that entered `lag` x j periods ago, so that its sum is there."""
        run, last = self.run, self.turn == self.run.kept
        there = (self.turn <= run.kept) & (self.position >= 0) & (self.position <= run.positions)
        row = self.row
        m.d.comb += [
            row.control.op.eq(Mux(there, Op.WEIGHT, Op.IDLE)),
            row.control.slot.eq(self.turn),
            row.control.first.eq(self.turn == 0),
            row.use.eq(there),
            row.entry.eq(self.base + self.position),
            row.release.eq(there & last),
            row.last.eq(there & last),
        ]
        m.d.sync += [self.turn.eq(self.turn + 1), self.position.eq(self.position - run.lag)]
        with m.If(self.turn == run.period):
            m.d.sync += [self.turn.eq(0), self.position.eq(self.newest + 1), self.newest.eq(self.newest + 1)]
        with m.If(there & last & (self.position == run.positions)):
            m.d.sync += self.base.eq(self.base + run.positions + 1)
            m.next = "END"

    def _output(self, m: Module) -> None:
        """A round: one weight a PE, or one an output, for all outputs of a PE in turn."""
        run, row = self.run, self.row
        adds, ends = self.turn <= run.interleave, self.turn == run.interleave
        last = self.weight_number == Mux(self.tail, run.tail_kept - 1, run.kept)
        m.d.comb += [
            row.control.op.eq(Mux(adds, Op.OUTPUT, Op.IDLE)),
            row.control.slot.eq(self.turn),
            row.control.first.eq(run.fresh & ~self.begun),
            row.use.eq(adds),
            row.entry.eq(self.base + Mux(run.share_weights, self.turn, 0)),
            row.release.eq(adds & last & (run.share_weights | ends)),
            self.weight.use.eq(adds),
            self.weight.release.eq(adds & (~run.share_weights | ends)),
        ]
        m.d.sync += self.turn.eq(self.turn + 1)
        with m.If(self.turn == run.round):
            m.d.sync += [self.turn.eq(0), self.begun.eq(1), self.weight_number.eq(self.weight_number + 1)]
            with m.If(last):
                self._after_group(m)

    def _after_group(self, m: Module) -> None:
        run, pad = self.run, Signal(16)
        m.d.comb += pad.eq(Mux(self.tail, run.tail_pad, run.pad))
        m.d.sync += [self.weight_number.eq(0), self.base.eq(self.base + Mux(run.share_weights, run.interleave, 0) + 1)]
        with m.If(pad != 0):
            m.d.sync += self.count.eq(pad)
            m.next = "PAD"
        with m.Else():
            self._next_group(m)

    def _next_group(self, m: Module) -> None:
        run = self.run
        m.d.sync += self.group.eq(self.group + 1)
        m.next = "OUTPUT"
        with m.If(~self.tail & (self.group + 1 == run.groups) & (run.tail_kept != 0)):
            m.d.sync += self.tail.eq(1)
        with m.Elif(self.tail | (self.group + 1 == run.groups)):
            m.d.sync += [self.group.eq(0), self.tail.eq(run.groups == 0), self.segment.eq(self.segment + 1)]
            with m.If(self.segment == run.segments):
                m.d.sync += [self.count.eq(0), self.turn.eq(run.interleave)]
                with m.If(~run.drain):
                    m.next = "IDLE"
                with m.Else():
                    m.next = "FLUSH" if self._flush else "DRAIN"

    def _shift(self, m: Module, following: str) -> None:
        """Accumulators from the last to the first: the last one's sum may have been finished in this very cycle."""
        m.d.comb += [self.shift.eq(1), self.shift_slot.eq(self.turn)]
        m.d.sync += self.count.eq(self.count + 1)
        with m.If(self.count == self.parameters.rows - 1):
            m.d.sync += [self.count.eq(0), self.turn.eq(self.turn - 1)]
            with m.If(self.turn == 0):
                m.d.sync += self.turn.eq(0)
                m.next = following
