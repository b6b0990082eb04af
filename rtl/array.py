"""The systolic array: a mesh of PEs, and its edges, which tell rows and columns what to do when it is their turn.

Output stationary, row r and column c work r + c cycles after the first PE; weight stationary, row r as much later as
the sums need to come down to it. While an operand, a weight or a seed is not there, or a sum finds no room, all of the
array stands still, and counts it.
"""

import re
from dataclasses import replace

from amaranth import Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.back import rtlil
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.control import COUNTERS, Op, pe_control, row_token, run_layout
from rtl.edges import ResultQueue, RowBuffer, RowDelay
from rtl.parameters import Parameters
from rtl.pe import SparsePE
from rtl.placing import Place, as_instance, as_submodule, module_name
from rtl.sequencer import Sequencer
from rtl.tools import to_verilog

TOP = "sparse_array"


class SparseArray(wiring.Component):
    """Ports: streams of one row or column lie side by side, the first one lowest.

    run_*: a stream of `run_layout`. counters: of the last run or the one going on. idle: no run is going on.
    west_*: a stream a row of `west_link` operands, and a bit above them that ends a group.
    north_*: a stream a column of weights, each with its index above it.
    seed_*: a stream a column of sums that go in; result_*: of those that come out.
    """

    def __init__(self, parameters: Parameters, place: Place = as_submodule) -> None:
        self.parameters = p = parameters
        self.place = place
        # for diagrams, once elaborated: what is in the input register of each PE, which columns' sums are leaving
        self.controls: dict[tuple[int, int], Value] = {}
        self.leaves: list[Value] = []
        super().__init__(array_signature(p))

    def elaborate(self, platform: object) -> Elaboratable:
        m, p = Module(), self.parameters
        m.submodules.sequencer = self.sequencer = sequencer = Sequencer(p)
        self.en = Signal()
        finished = Signal()
        m.d.comb += [
            sequencer.runs.valid.eq(self.run_valid),
            sequencer.runs.payload.eq(self.run_payload),
            self.run_ready.eq(sequencer.runs.ready),
            sequencer.en.eq(self.en),
            sequencer.finished.eq(finished),
            self.idle.eq(~sequencer.active),
        ]
        groups, controls, leaving, rows_ok = self._rows(m)
        weights, columns_ok = self._weights(m)
        seeds, seeds_ok = self._seeds(m, controls[0])
        sums = self._mesh(m, groups, controls, weights, seeds)
        ending, results_ok = self._results(m, leaving, sums)
        m.d.comb += self.en.eq(Cat(rows_ok, columns_ok, seeds_ok, results_ok).all())
        self._count(m, ending, finished)
        return m

    def _rows(self, m: Module) -> tuple[list[Value], list[Value], Value, list[Value]]:
        """Groups and controls at the west edge, whether the last row's sums are leaving, and who need not wait."""
        p, width = self.parameters, self.parameters.west_link * self.parameters.operand.bits + 1
        groups, controls, lasts, oks = [], [], [], []
        for number, token in enumerate(self._told(m)):
            made = {
                "words__ready": self.west_ready[number],
                "group": Signal(p.group_bits, name=f"group_{number}"),
                "control": Signal(pe_control(p), name=f"control_{number}"),
                "last": Signal(name=f"last_{number}"),
                "ok": Signal(name=f"row_ok_{number}"),
            }
            words = {
                "words__valid": self.west_valid[number],
                "words__payload": self.west_payload.word_select(number, width),
            }
            self.place(m, f"row_{number}", RowBuffer, p, {"en": self.en, "token": token, **words}, made)
            groups.append(made["group"])
            controls.append(made["control"])
            lasts.append(made["last"])
            oks.append(made["ok"])
        return groups, controls, lasts[-1], oks

    def _told(self, m: Module) -> list[Value]:
        """What each row is told: the row above's token, unless weights are to be stored or sums to be shifted."""
        sequencer, store, out = self.sequencer, self.sequencer.store, []
        for number, token in enumerate(self._tokens(m)):
            told = Signal(row_token(self.parameters), name=f"told_{number}")
            m.d.comb += told.eq(token)
            with m.If(sequencer.shift):
                m.d.comb += [told.control.op.eq(Op.SHIFT), told.control.slot.eq(sequencer.shift_slot)]
            with m.Elif(store.valid & (store.row == number)):
                m.d.comb += [told.control.op.eq(Op.STORE), told.control.slot.eq(store.slot)]
            out.append(told)
            store = self._later(m, store, 1, f"store_{number + 1}")
        return out

    def _tokens(self, m: Module) -> list[Value]:
        """The sequencer's token, row after row `skew` + 1 cycles later."""
        p, run = self.parameters, self.sequencer.run
        now, age, stale = Signal(p.delay_bits), Signal(p.delay_bits), Signal()
        changes = self.run_valid & self.run_ready & (self.run_payload.skew != run.skew)
        m.d.comb += stale.eq(age < run.skew)
        with m.If(self.en):
            m.d.sync += [now.eq(now + 1), age.eq(Mux(changes, 0, age + ~age.all()))]
        tokens = [self.sequencer.row]
        for number in range(1, p.rows):
            token = Signal(row_token(p), name=f"token_{number}")
            given = {"en": self.en, "now": now, "skew": run.skew[: p.delay_bits], "stale": stale, "above": tokens[-1]}
            self.place(m, f"delay_{number}", RowDelay, p, given, {"token": token})
            tokens.append(token)
        return tokens

    def _weights(self, m: Module) -> tuple[list[Value], list[Value]]:
        """Weights at the north edge, and which columns need not wait."""
        token, oks = self._later(m, self.sequencer.weight, 1, "weight_0"), []
        for number in range(self.parameters.cols):
            oks.append(~token.use | self.north_valid[number])
            m.d.comb += self.north_ready[number].eq(token.use & token.release & self.en)
            token = self._later(m, token, 1, f"weight_{number + 1}")
        width = self.parameters.weight_bits
        return [self.north_payload.word_select(number, width) for number in range(self.parameters.cols)], oks

    def _seeds(self, m: Module, control: Value) -> tuple[list[Value], list[Value]]:
        """Sums that enter the first row: seeds, or zero."""
        p, sequencer = self.parameters, self.sequencer
        shifted = self._later(m, sequencer.shift & sequencer.seeding, 1, "seed_shift")
        starts = (control.op == Op.WEIGHT) & control.first & sequencer.run.seed
        take, seeds, oks = self._later(m, shifted | starts, p.input_latency, "seed"), [], []
        for number in range(p.cols):
            oks.append(~take | self.seed_valid[number])
            m.d.comb += self.seed_ready[number].eq(take & self.en)
            seeds.append(Mux(take, self.seed_payload.word_select(number, p.accumulator.bits), 0))
            take = self._later(m, take, 1, f"seed_{number + 1}")
        return seeds, oks

    def _mesh(
        self, m: Module, groups: list[Value], controls: list[Value], weights: list[Value], seeds: list[Value]
    ) -> list[Value]:
        """The PEs; returns the sums at the south edge."""
        p, sums = self.parameters, seeds
        for r in range(p.rows):
            group, control = groups[r], controls[r]
            south_weights, south_sums = [], []
            for c in range(p.cols):
                made = {
                    "east_group": Signal(p.group_bits, name=f"group_{r}_{c}"),
                    "east_control": Signal(pe_control(p), name=f"control_{r}_{c}"),
                    "south_weight": Signal(p.weight_bits, name=f"weight_{r}_{c}"),
                    "south_sum": Signal(p.accumulator.bits, name=f"sum_{r}_{c}"),
                }
                given = {"west_group": group, "west_control": control, "north_weight": weights[c], "north_sum": sums[c]}
                self.place(m, f"pe_{r}_{c}", SparsePE, p, {"en": self.en, **given}, made)
                group, control = made["east_group"], made["east_control"]
                self.controls[r, c] = control
                south_weights.append(made["south_weight"])
                south_sums.append(made["south_sum"])
            weights, sums = south_weights, south_sums
        return sums

    def _results(self, m: Module, leaving: Value, sums: list[Value]) -> tuple[Value, list[Value]]:
        """Queues for what leaves the columns; returns whether the last column's is there, and who has room."""
        p, sequencer = self.parameters, self.sequencer
        shifted = self._later(m, sequencer.shift & ~sequencer.seeding, 1, "result_shift")
        added = self._later(m, leaving, p.adder_latency, "result_added")
        comes, oks = self._later(m, shifted | added, p.input_latency - 1, "ready"), []
        for number, total in enumerate(sums):
            before, comes = comes, self._later(m, comes, 1, f"result_{number}")
            self.leaves.append(comes)
            ok = Signal(name=f"result_ok_{number}")
            given = {"comes": comes, "en": self.en, "total": total, "sums__ready": self.result_ready[number]}
            made = {
                "ok": ok,
                "sums__valid": self.result_valid[number],
                "sums__payload": self.result_payload.word_select(number, p.accumulator.bits),
            }
            self.place(m, f"results_{number}", ResultQueue, p, given, made)
            oks.append(ok)
        # a sum is there with the adder's last register, and is gone when it has been shifted out
        return Mux(sequencer.run.stationary_weights, before, comes), oks

    def _count(self, m: Module, ends: Value, finished: Value) -> None:
        """The run's counters, and its end: the last column's last sum."""
        p, sequencer, run = self.parameters, self.sequencer, self.sequencer.run
        left = Signal(24)
        expected = Mux(run.stationary_weights, run.positions + 1, (run.interleave + 1) * p.rows)
        m.d.comb += finished.eq(ends & (left == expected - 1))
        with m.If(self.en):
            with m.If(ends):
                m.d.sync += left.eq(Mux(finished, 0, left + 1))
            with m.If(sequencer.active):
                m.d.sync += [
                    self.counters.cycles.eq(self.counters.cycles + 1),
                    self.counters.compute.eq(self.counters.compute + sequencer.row.use),
                    self.counters.fill.eq(self.counters.fill + sequencer.loading),
                    self.counters.drain.eq(self.counters.drain + sequencer.draining),
                ]
        with m.If(sequencer.active & ~self.en):
            m.d.sync += self.counters.waiting.eq(self.counters.waiting + 1)
        with m.If(self.run_valid & self.run_ready):
            # sums leave the edge a cycle after their token
            start = self.run_payload
            m.d.sync += [self.counters.eq(0), self.counters.cycles.eq(Mux(start.drain, -1, 0))]

    def _later(self, m: Module, value: Value, cycles: int, name: str) -> Value:
        """`value` as it was `cycles` enabled cycles ago."""
        for number in range(cycles):
            register = Signal(value.shape(), name=f"{name}_{number}")
            with m.If(self.en):
                m.d.sync += register.eq(value)
            value = register
        return value


def array_signature(p: Parameters) -> wiring.Signature:
    """The array's ports."""
    return wiring.Signature(
        {
            "run_valid": In(1),
            "run_ready": Out(1),
            "run_payload": In(run_layout()),
            "counters": Out(COUNTERS),
            "idle": Out(1),
            **_streams("west", In, p.rows, p.west_link * p.operand.bits + 1),
            **_streams("north", In, p.cols, p.weight_bits),
            **_streams("seed", In, p.cols, p.accumulator.bits),
            **_streams("result", Out, p.cols, p.accumulator.bits),
        }
    )


def _streams(name: str, flow: type, count: int, width: int) -> dict[str, object]:
    back = Out if flow is In else In
    return {f"{name}_valid": flow(count), f"{name}_ready": back(count), f"{name}_payload": flow(count * width)}


def array_verilog(p: Parameters, header: str = "") -> str:
    """Verilog of the array `sparse_array` and all it consists of, in the order in which tools read it."""
    return "\n".join([header, blocks_verilog(p), block_verilog(SparseArray(p, as_instance), TOP)])


def blocks_verilog(p: Parameters) -> str:
    """Verilog of the blocks that an array placed `as_instance` refers to."""
    kinds = (SparsePE, RowBuffer, RowDelay, ResultQueue)
    used = [kind for kind in kinds if kind is not RowDelay or p.rows > 1]
    return "\n".join(block_verilog(kind(p), module_name(kind)) for kind in used)


def fingerprint(p: Parameters) -> str:
    """A text that changes whenever the Verilog of the array does, and takes less time."""
    small = replace(p, rows=min(p.rows, 2), cols=min(p.cols, 2))
    blocks = [kind(p) for kind in (SparsePE, RowBuffer, RowDelay, ResultQueue)]
    return "\n".join(rtlil.convert(each, emit_src=False) for each in (*blocks, SparseArray(small, as_instance)))


def block_verilog(component: wiring.Component, name: str) -> str:
    """Verilog of one component; the names of its inner modules begin with its own."""
    text = to_verilog(component, name, strip=True)
    text = re.sub(r"^/\* Generated by .*? \*/\n", "", text)
    return re.sub(rf"\\{name}\.([\w.]+) ", lambda found: f"{name}_{found[1].replace('.', '_')} ", text)
