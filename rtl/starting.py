"""When a run may start: it is one the array can do, all that it takes is there, and there is room for what it gives."""

from collections.abc import Callable

from amaranth import Cat, Const, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.control import demand, run_layout
from rtl.parameters import Parameters
from rtl.run import Error
from rtl.timing import COMPARE

CHECKED = COMPARE - 2  # cycles, from a run's arrival, after which all that was compared is known

LOOPS = ("kept", "tail_kept", "groups", "segments", "positions")  # which the memories bound


def prepared(p: Parameters) -> data.StructLayout:
    """What a run is to the sequencer: its fields, no wider than this array needs them, and what follows from them.

    has_tail, only_tail: whether a segment ends with a tail, is nothing else. one_group: it has one full group. one: one
    weight is kept. groups, tail_kept: less one. inner: things to be done in a period, less one; outer: its cycles, less
    one. lag: periods between two weights of a position; step: cycles between them. last: cycles of a weight-stationary
    run after its last weight's turn in the last row, less two, if there is one weight a PE.
    """
    flags = (
        "stationary_weights",
        "share_weights",
        "fresh",
        "seed",
        "drain",
        "has_tail",
        "only_tail",
        "one_group",
        "one",
    )
    turns = ("inner", "outer", "interleave", "words", "tail_words", "lag")
    widths = {**dict.fromkeys(flags, 1), **dict.fromkeys(turns, p.turn_bits), **dict.fromkeys(LOOPS, p.loop_bits)}
    step = (p.adder_latency + (1 << p.turn_bits)).bit_length()
    return data.StructLayout({**widths, "step": step, "last": 10})


class Starter(wiring.Component):
    """runs: stream of `run_layout`. takes: the run is taken from here, and starts in the next cycle.

    there: there is one. ready: it may start. next: the run. wanted: what it needs. enough: that is there. waits: only
    what it takes is missing. error: it never will start.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        # sums of the run before stay in the PEs: only a run that goes on with them, or starts anew, may follow
        self.held = Signal()
        super().__init__(
            {
                "runs": In(stream.Signature(run_layout())),
                "takes": In(1),
                "clear": In(1),
                "enough": In(1),
                "ready": Out(1),
                "waits": Out(1),
                "there": Out(1),
                "next": Out(prepared(p)),
                "wanted": Out(demand(p)),
                "error": Out(Error),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        there, age, settled, run = self.there, Signal(range(CHECKED + 1)), Signal(), Signal(run_layout())
        m.d.comb += [self.runs.ready.eq(~there & ~self.clear)]
        m.d.sync += [age.eq(age + 1), settled.eq((age == CHECKED) & there & ~self.takes)]
        with m.If(age == CHECKED):
            m.d.sync += age.eq(age)
        with m.If(self.takes):
            m.d.sync += there.eq(0)
        with m.If(self.runs.valid & self.runs.ready):
            m.d.sync += [run.eq(self.runs.payload), there.eq(1), age.eq(0), settled.eq(0)]
        with m.If(self.clear):
            m.d.sync += [there.eq(0), settled.eq(0), age.eq(0)]
        m.d.comb += [
            self.ready.eq(settled & self.enough & (self.error == Error.NONE)),
            self.waits.eq(settled & ~self.enough & (self.error == Error.NONE)),
        ]
        self._demand(m, run)
        self._prepare(m, run)
        self._check(m, run, settled)
        return m

    def _demand(self, m: Module, run: data.View) -> None:
        """Counts since the array was cleared: those of the runs before, and of this one."""
        p, before = self.parameters, Signal(demand(self.parameters))
        seeds, sums = Signal(17), Signal(17)
        fields = (
            ("words", run.row_words + 1),
            ("weights", run.column_weights + 1),
            ("seeds", seeds),
            ("results", sums),
        )
        outputs = Mux(run.stationary_weights, run.positions + 1, (run.interleave + 1) * p.rows)
        m.d.sync += [
            seeds.eq(Mux(run.seed, outputs, 0)),
            sums.eq(Mux(run.drain | run.stationary_weights, outputs, 0)),
            *(self.wanted[name].eq(before[name] + more) for name, more in fields),
        ]
        with m.If(self.takes):
            m.d.sync += [before.eq(self.wanted), self.held.eq(~run.stationary_weights & ~run.drain)]
        with m.If(self.clear):
            m.d.sync += [before.eq(0), self.held.eq(0)]

    def _prepare(self, m: Module, run: data.View) -> None:
        """The loops of a period, and with a period known the way of a sum."""
        p, next_, weights = self.parameters, self.next, run.stationary_weights
        adder, leaves = p.adder_latency, leaving_cycles(p)
        pace = Mux(run.kept > run.words, run.kept, run.words)
        least = Const(adder - 1, 8)
        same = ("stationary_weights", "share_weights", "fresh", "seed", "drain", "interleave", "words", "tail_words")
        m.d.comb += [next_[name].eq(run[name]) for name in (*same, "kept", "segments", "positions")]
        m.d.sync += [
            next_.has_tail.eq(run.tail_kept != 0),
            next_.only_tail.eq(run.groups == 0),
            next_.one_group.eq(run.groups == 1),
            next_.one.eq(run.kept == 0),
            next_.tail_kept.eq(run.tail_kept - 1),
            next_.groups.eq(run.groups - 1),
            next_.inner.eq(Mux(weights, run.kept, run.interleave)),
            next_.outer.eq(Mux(weights, pace, Mux(run.interleave > least, run.interleave, least))),
            next_.last.eq(Mux(run.words > leaves, run.words, leaves) - 2),
            next_.lag.eq(_periods(m, next_.outer, adder)),
            next_.step.eq(1 + _way(m, next_.outer, adder)),
        ]

    def _check(self, m: Module, run: data.View, settled: Value) -> None:
        """Every reason is a register, and so is the first of them that holds."""
        p, weights = self.parameters, run.stationary_weights
        outputs = Mux(weights, run.positions, (run.interleave + 1) * p.rows - 1)
        gives = run.seed | run.drain | weights
        reasons = (
            (Error.EMPTY, ~weights & (run.groups == 0) & (run.tail_kept == 0)),
            (Error.INTERLEAVE, ~weights & (run.interleave >= p.accumulators)),
            (Error.KEPT, weights & (run.kept >= p.weights)),
            (Error.WORDS, (run.words >= p.group_words) | (run.tail_words >= p.group_words)),
            (Error.LONG, (run.row_words >= p.row_depth) | (run.column_weights >= p.column_depth)),
            (Error.LONG, gives & (outputs >= p.results)),
            (Error.LONG, Cat(*(run[name][p.loop_bits :] for name in LOOPS)).any()),
            (Error.HELD, ~weights & Mux(run.seed, self.held, ~run.fresh & ~self.held)),
        )
        first: Value = Const(Error.NONE, 8)
        for number, (error, holds) in reversed(list(enumerate(reasons))):
            register = Signal(name=f"reason_{number}")
            m.d.sync += register.eq(holds)
            first = Mux(register, error, first)
        found = Signal(Error)
        m.d.sync += found.eq(first)
        m.d.comb += self.error.eq(Mux(settled, found, Error.NONE))


def leaving_cycles(p: Parameters) -> int:
    """Cycles, less one, from the last addition of the last row to the last sum of the last column."""
    return p.cols - 1 + p.input_latency + p.adder_latency - 1


def _periods(m: Module, less_one: Value, adder: int) -> Value:
    """Periods, of so many cycles less one, that an addition takes until the next one may follow at the same phase."""
    return _looked_up(m, less_one, adder, "lag", lambda period: -(-(adder - 1) // period))


def _way(m: Module, less_one: Value, adder: int) -> Value:
    """The cycles of those periods."""
    if adder <= 2:
        return (less_one + 1) if adder == 2 else Const(0)
    short = _looked_up(m, less_one, adder, "way", lambda period: -(-(adder - 1) // period) * period)
    return Mux(less_one >= adder - 2, less_one + 1, short)


def _looked_up(m: Module, less_one: Value, adder: int, name: str, of: Callable[[int], int]) -> Value:
    """A table of periods that are shorter than an addition; for longer ones what the shortest of them gives."""
    if adder <= 2:
        return Const(of(1))
    out = Signal(range(2 * adder), name=f"{name}_of_period")
    with m.Switch(less_one):
        for period in range(1, adder - 1):
            with m.Case(period - 1):
                m.d.comb += out.eq(of(period))
        with m.Default():
            m.d.comb += out.eq(of(adder - 1))
    return out
