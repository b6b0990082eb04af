"""What the array is told, cycle by cycle: the loops of a run, made for the first row and the first column.

Rows and columns further on hear the same later (`rtl.row_edge`, `rtl.column_edge`). From its first cycle to the first
that the next run may have, a run takes exactly the cycles that `rtl.timing` gives. Every condition that ends a loop is
a register, set along with the loop's counter.
"""

from amaranth import Elaboratable, Module, Mux, Signal, Value, signed
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from rtl.control import Op, demand, fetch_order, order
from rtl.counting import Countdown
from rtl.fetching import Fetcher
from rtl.parameters import Parameters
from rtl.starting import leaving_cycles, prepared
from rtl.timing import SHORTEST


class State(enum.Enum, shape=4):
    """What a cycle is spent on."""

    IDLE = 0
    LOAD = 1  # weights go to their rows
    WEIGHT = 2  # positions enter
    ROWS = 3  # the last position goes down the rows
    END = 4  # the last sum leaves
    SEED = 5  # sums go in
    OUTPUT = 6  # operands and weights enter
    PAD = 7  # the link is behind
    FLUSH = 8  # the last row has not finished
    DRAIN = 9  # sums go out
    REST = 10  # the next run is not compared yet


ENDING = (State.IDLE, State.END, State.OUTPUT, State.PAD, State.REST)


class Sequencer(wiring.Component):
    """next, ready: the run that may start; takes: it does, in the next cycle. stop: no run goes on. wanted: how many
    words and weights will have been taken by its end.

    told: what a cycle is spent on, a cycle later. fetch: what is fetched. active, adds, loading, draining: what
    counters count. leaves: the run ends with this cycle. miscounted: the run has not taken as many words or weights as
    it says.

    splits: a run may be no more than the way out of sums that stayed, where `only_drain` says so.
    """

    def __init__(self, parameters: Parameters, splits: bool = False) -> None:
        self.parameters, self.splits = parameters, splits
        p = parameters
        inputs = {"next": In(prepared(p)), "ready": In(1), "stop": In(1), "wanted": In(demand(p))}
        flags = ("takes", "active", "adds", "loading", "draining", "miscounted")
        if splits:
            inputs["only_drain"] = In(1)
            flags = (*flags, "leaves")
        super().__init__(
            {**inputs, **dict.fromkeys(flags, Out(1)), "told": Out(order(p)), "fetch": Out(fetch_order(p))}
        )
        turn, loop = p.turn_bits, p.loop_bits
        self.state, self.run = Signal(State), Signal(prepared(p))
        # the states in which a run may end, as flags of their own: from its end to the next one's start is a long way
        self.at = {each: Signal(name=f"at_{each.name.lower()}", init=each is State.IDLE) for each in ENDING}
        # the next group that was never used, and the one in use
        self.base, self.entry = Signal(p.entry_bits), Signal(p.entry_bits)
        self.skew, self.passing = Signal(p.delay_bits), Signal(p.delay_bits)
        # a period: its phase, whether something is to be done in it, for the last time, and its end
        self.turn, self.does, self.done, self.over = Signal(turn), Signal(), Signal(), Signal()
        self.begun, self.tail, self.first_row = Signal(), Signal(), Signal()
        self.weight, self.group, self.segment = (Countdown(each, loop) for each in ("weight", "group", "segment"))
        self.row, self.slot = Countdown("row", p.row_bits + 1), Countdown("slot", turn)
        self.wait = Countdown("wait", max(10, p.delay_bits, (p.rows + p.adder_latency).bit_length()))
        self.age = Countdown("age", SHORTEST.bit_length())
        # weight stationary: positions still to enter, the newest one's group, periods since the first and the last one
        # entered, and the periods by which the weight at hand is behind
        self.entering, self.newest, lags = Countdown("entering", loop), Signal(p.entry_bits), len(self.run.step)
        self.came, self.gone, self.late, self.ended = Signal(lags), Signal(lags), Signal(lags), Signal()
        self.fetcher = Fetcher(turn)
        self.ends = Signal()  # the run does, with this cycle
        self.stays = Signal()  # this is a run's last group, and its sums stay
        self.spent = Signal()  # all that the run takes was taken by now, or is right now

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.fetcher = fetcher = self.fetcher
        told, leaves = Signal.like(self.told), Signal()
        m.d.comb += [
            told.skew.eq(self.skew),
            leaves.eq(self.ends & self.age.last),
            self.ends.eq(
                (self.at[State.END] & self.wait.last)
                | self.at[State.REST]
                | (
                    self.stays
                    & fetcher.whole
                    & (self.at[State.PAD] | (self.at[State.OUTPUT] & self.over & self.weight.last))
                )
            ),
            self.takes.eq((self.at[State.IDLE] | leaves) & self.ready),
            self.active.eq(~self.at[State.IDLE]),
            self.loading.eq((self.state == State.LOAD) | (self.state == State.SEED)),
            self.draining.eq(self.state == State.DRAIN),
            self.adds.eq((told.token.control.op == Op.OUTPUT) | (told.token.control.op == Op.WEIGHT)),
            fetcher.stop.eq(self.stop),
            fetcher.words.eq(self.run.words),
        ]
        if self.splits:
            m.d.comb += self.leaves.eq(leaves)
        m.d.sync += [self.told.eq(told), self.fetch.fetch.eq(fetcher.fetch), self.fetch.skew.eq(self.skew)]
        with m.If(~self.age.last):
            self.age.step(m)
        self._loops(m, told)
        with m.If(self.ends):
            self._go(m, State.REST)
        with m.If(leaves):
            self._go(m, State.IDLE)
        with m.If(self.takes):
            self._begin(m)
        with m.If(self.stop):
            self._go(m, State.IDLE)
            m.d.sync += [self.base.eq(0), self.entry.eq(0), self.skew.eq(0)]
            m.d.sync += [self.told.eq(0), self.fetch.eq(0)]
        self._count(m, told)
        return m

    def _loops(self, m: Module, told: Value) -> None:
        with m.Switch(self.state):
            for state, does in (
                (State.LOAD, self._load),
                (State.WEIGHT, self._weight),
                (State.ROWS, self._rows),
                (State.END, self._end),
                (State.SEED, self._seed),
                (State.OUTPUT, self._output),
                (State.PAD, self._pad),
                (State.FLUSH, self._flush),
                (State.DRAIN, self._drain),
            ):
                with m.Case(state):
                    does(m, told)

    def _go(self, m: Module, state: State) -> None:
        m.d.sync += [self.state.eq(state), *(flag.eq(each is state) for each, flag in self.at.items())]

    def _begin(self, m: Module) -> None:
        """The first cycle of the next run is the next cycle."""
        p, next_ = self.parameters, self.next
        m.d.sync += [self.run.eq(next_), self.begun.eq(0), self.tail.eq(next_.only_tail), self.first_row.eq(1)]
        final = (next_.only_tail | (next_.one_group & ~next_.has_tail)) & (next_.segments == 0)
        m.d.sync += self.stays.eq(final & ~next_.drain & ~next_.stationary_weights)
        self._restart(m, next_.inner, next_.outer)
        self.age.load(m, Value.cast(SHORTEST - 1))
        self.weight.load(m, Mux(next_.only_tail, next_.tail_kept, next_.kept))
        self.group.load(m, next_.groups)
        self.segment.load(m, next_.segments)
        self.entering.load(m, next_.positions)
        self.row.load(m, Value.cast(p.rows - 1))
        self.slot.load(m, next_.interleave)
        with m.If(next_.stationary_weights):
            self._go(m, State.LOAD)
        with m.Elif(next_.seed):
            self._go(m, State.SEED)
            m.d.sync += self.skew.eq(0)
        with m.Else():
            self._go(m, State.OUTPUT)
            m.d.sync += self.skew.eq(0)
            begins: Value | int = ~self.only_drain if self.splits else 1
            self._fetch(m, next_, next_.only_tail, begins)
        if self.splits:
            with m.If(self.only_drain):
                self._leave(m)

    def _leave(self, m: Module) -> None:
        """An output-stationary tile's last cycle but for its way out."""
        flush = self.parameters.rows - 1 + self.parameters.adder_latency - 1
        self._go(m, State.FLUSH if flush else State.DRAIN)
        self.wait.load(m, Value.cast(max(0, flush - 1)))

    # what a period consists of

    def _restart(self, m: Module, inner: Value, outer: Value) -> None:
        m.d.sync += [self.turn.eq(0), self.does.eq(1), self.done.eq(inner == 0), self.over.eq(outer == 0)]

    def _next_turn(self, m: Module) -> None:
        m.d.sync += [
            self.turn.eq(self.turn + 1),
            self.does.eq(self.does & ~self.done),
            self.done.eq(self.turn + 1 == self.run.inner),
            self.over.eq(self.turn + 1 == self.run.outer),
        ]

    def _fetch(self, m: Module, run: Value, tail: Value, begins: Value | int = 1) -> None:
        """From the next cycle on the words of an output-stationary group are fetched."""
        m.d.comb += [
            self.fetcher.begins.eq(begins),
            self.fetcher.words.eq(Mux(tail, run.tail_words, run.words)),
            self.fetcher.subgroups.eq(Mux(run.share_weights, run.interleave, 0)),
        ]

    # weight stationary

    def _load(self, m: Module, told: Value) -> None:
        """Weights of row after row, one a cycle; meanwhile the cycles of a pass are added up."""
        p, run, token = self.parameters, self.run, told.token.control
        row = p.rows - 1 - self.row.left
        m.d.comb += [token.op.eq(Op.STORE), token.slot.eq(self.turn), told.row.eq(row), told.take.eq(1)]
        self._next_turn(m)
        longer = (self.passing + run.step)[: p.delay_bits]
        passing = Mux(self.first_row, Mux(self.turn == 0, p.adder_latency, longer), self.passing)
        m.d.sync += self.passing.eq(passing)
        with m.If(self.done):
            self._restart(m, run.inner, run.outer)
            self.row.step(m)
            m.d.sync += self.first_row.eq(0)
            with m.If(self.row.last):
                self._go(m, State.WEIGHT)
                m.d.sync += [self.skew.eq(passing), self.newest.eq(self.base)]
                m.d.sync += [self.late.eq(0), self.came.eq(0), self.gone.eq(0)]
                m.d.comb += self.fetcher.begins.eq(1)

    def _weight(self, m: Module, told: Value) -> None:
        """A period: weight j works on the position that entered `lag` x j periods ago, so that its sum is there.

        Position and period count from the first one as well as from the last one, no further than the lags go.
        """
        run, token, all_in = self.run, told.token, self.entering.last
        inside = self.does & (self.came >= self.late) & (~all_in | (self.gone <= self.late))
        m.d.comb += [
            token.control.op.eq(Mux(inside, Op.WEIGHT, Op.IDLE)),
            token.control.slot.eq(self.turn),
            token.control.first.eq(self.turn == 0),
            token.entry.eq(self.newest - self.late),
            token.last.eq(self.done & inside),
            told.seed.eq(inside & (self.turn == 0) & run.seed),
        ]
        m.d.sync += [
            self.late.eq(self.late + run.lag),
            self.ended.eq(self.does & self.done & all_in & (self.gone == self.late)),
        ]
        self._way_out(m)
        self._next_turn(m)
        with m.If(self.over):
            self._restart(m, run.inner, run.outer)
            m.d.sync += [
                self.late.eq(0),
                self.newest.eq(self.newest + 1),
                self.came.eq(self.came + ~self.came.all()),
                self.gone.eq(self.gone + all_in),
            ]
            with m.If(~all_in):
                self.entering.step(m)
                m.d.comb += self.fetcher.begins.eq(1)
        with m.If(self.ended):
            base = (self.told.token.entry + 1)[: self.parameters.entry_bits]
            m.d.sync += [self.base.eq(base), self.entry.eq(base), self.ended.eq(0)]
            self.row.load(m, Value.cast(max(0, self.parameters.rows - 2)))
            if self.parameters.rows > 1:
                self._go(m, State.ROWS)
                self.wait.load(m, self.passing)
            else:
                self._go(m, State.END)
                self.wait.load(m, self.run.last)

    def _way_out(self, m: Module) -> None:
        """The cycles after the last weight's turn in the last row: until the last sum leaves, or the link is free."""
        p, leaves = self.parameters, leaving_cycles(self.parameters)
        behind = Signal(signed(12))
        m.d.sync += behind.eq(self.run.words + p.adder_latency - self.passing)
        with m.If(~self.run.one):
            m.d.sync += self.run.last.eq(Mux(behind > leaves, behind, leaves) - 2)

    def _rows(self, m: Module, told: Value) -> None:
        self.wait.step(m)
        with m.If(self.wait.last):
            self.wait.load(m, self.passing)
            self.row.step(m)
            with m.If(self.row.last):
                self._go(m, State.END)
                self.wait.load(m, self.run.last)

    def _end(self, m: Module, told: Value) -> None:
        self.wait.step(m)
        m.d.comb += self.spent.eq(self.wait.last & self.run.stationary_weights)

    # output stationary

    def _seed(self, m: Module, told: Value) -> None:
        m.d.comb += told.seed.eq(1)
        with m.If(self._shifted(m, told)):
            self._restart(m, self.run.inner, self.run.outer)
            self._go(m, State.OUTPUT)
            self._fetch(m, self.run, self.tail)

    def _output(self, m: Module, told: Value) -> None:
        """A round: one weight a PE, or one an output, for all outputs of a PE in turn."""
        run, token = self.run, told.token
        m.d.comb += [
            token.control.op.eq(Mux(self.does, Op.OUTPUT, Op.IDLE)),
            token.control.slot.eq(self.turn),
            token.control.first.eq(run.fresh & ~self.begun),
            token.entry.eq(self.entry),
            told.take.eq(self.does & (~run.share_weights | (self.turn == 0))),
        ]
        self._next_turn(m)
        m.d.sync += self.entry.eq(self.entry + run.share_weights)
        with m.If(self.over):
            self._restart(m, run.inner, run.outer)
            m.d.sync += [self.begun.eq(1), self.entry.eq(self.base)]
            self.weight.step(m)
            with m.If(self.weight.last):
                with m.If(self.fetcher.whole):
                    self._next_group(m)
                with m.Else():
                    self._go(m, State.PAD)

    def _pad(self, m: Module, told: Value) -> None:
        with m.If(self.fetcher.whole):
            self._go(m, State.OUTPUT)
            self._next_group(m)

    def _next_group(self, m: Module) -> None:
        run, p = self.run, self.parameters
        whole = self.tail | (self.group.last & ~run.has_tail)  # with this group a segment is
        tail = Mux(whole, run.only_tail, self.group.last)
        base = (self.base + Mux(run.share_weights, run.interleave, 0) + 1)[: p.entry_bits]
        m.d.sync += [self.base.eq(base), self.entry.eq(base), self.tail.eq(tail)]
        self.weight.load(m, Mux(tail, run.tail_kept, run.kept))
        self.group.step(m)
        with m.If(whole):
            self.group.load(m, run.groups)
            self.segment.step(m)
        # what the next group will be
        last = Mux(whole, run.one_group, self.group.left == 1)
        final = (tail | (last & ~run.has_tail)) & Mux(whole, self.segment.left == 1, self.segment.last)
        m.d.sync += self.stays.eq(final & ~run.drain)
        with m.If(whole & self.segment.last):
            self._leave(m)
            m.d.comb += self.spent.eq(1)
        with m.Else():
            self._fetch(m, run, tail)

    def _flush(self, m: Module, told: Value) -> None:
        """Cycles until the last sum of the first column's last row is there."""
        self.wait.step(m)
        with m.If(self.wait.last):
            self._go(m, State.DRAIN)

    def _drain(self, m: Module, told: Value) -> None:
        p = self.parameters
        with m.If(self._shifted(m, told)):
            self._go(m, State.END)
            self.wait.load(m, Value.cast(p.cols - 1 + p.input_latency - 1))

    def _shifted(self, m: Module, told: Value) -> Value:
        """Accumulators from the last to the first, by as many rows as there are; whether this is the last cycle.

        Rows and slots are then as they were before.
        """
        token = told.token.control
        m.d.comb += [token.op.eq(Op.SHIFT), token.slot.eq(self.slot.left)]
        self.row.step(m)
        with m.If(self.row.last):
            self.row.load(m, Value.cast(self.parameters.rows - 1))
            self.slot.step(m)
            with m.If(self.slot.last):
                self.slot.load(m, self.run.interleave)
        return self.row.last & self.slot.last

    def _count(self, m: Module, told: Value) -> None:
        """What was taken since the array was cleared, against what its runs say."""
        wrong, spent = [], Signal()
        m.d.sync += spent.eq(self.spent)
        for name, taking in (("words", self.fetcher.fetch.valid), ("weights", told.take)):
            taken, said, before = (
                Signal.like(self.wanted[name], name=f"{each}_{name}") for each in ("taken", "said", "before")
            )
            m.d.sync += [taken.eq(taken + taking), before.eq(said)]
            with m.If(self.takes):
                m.d.sync += said.eq(self.wanted[name])
            with m.If(self.stop):
                m.d.sync += [taken.eq(0), said.eq(0)]
            wrong.append((taking & (taken == said)) | (spent & (taken != before)))
        m.d.sync += self.miscounted.eq(wrong[0] | wrong[1])
