"""The core's control with engines that only count cycles, and what it does with programs beside SimPy's event log."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from amaranth import Cat, Elaboratable, Module, Mux, Signal
from amaranth.back import rtlil
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from rtl.core.control import ControlShape, CoreControl
from rtl.tools import to_verilog
from rtl.verilate import Compiled, Words, built, ports_of
from simulator.hil.core_words import CoreOp
from simulator.kernel.events import ExactRun
from simulator.program import Command, Program

ENGINES = ("dram", "sore", "transposer", "array", "wuve")  # vector work is the host's
SHAPE = ControlShape(len(ENGINES), 10, 5)
TICKS, LATENCY = 23, 256  # bits of a command's cycles, and the longest latency that an engine of the bench has
COMING = 64  # fills on their way to their buffers, an engine


def word(shape: ControlShape) -> StructLayout:
    """A command of the bench: that of the control, and what an engine does that only counts."""
    return StructLayout({"control": shape.command, "frees": shape.buffers, "ticks": TICKS, "latency": range(LATENCY)})


class CountingEngine(wiring.Component):
    """Works as many cycles as its command says; its slots are full `latency` cycles after its end."""

    def __init__(self, shape: ControlShape) -> None:
        self.shape = shape
        masks = {"filled": Out(shape.buffers), "freed": Out(shape.buffers)}
        super().__init__({"word": In(word(shape)), "go": In(1), "ends": Out(1), **masks})

    def elaborate(self, platform: object) -> Elaboratable:
        m, now = Module(), Signal(word(self.shape))
        held, left, time = Signal.like(now), Signal(TICKS), Signal(32)
        m.submodules.coming = coming = Memory(shape=self.shape.buffers + 32, depth=COMING, init=[])
        write, read = coming.write_port(), coming.read_port(domain="comb")
        last, first = Signal(range(COMING)), Signal(range(COMING))
        at_once = now.latency == 0
        mask, due = read.data[: self.shape.buffers], read.data[self.shape.buffers :]
        arrives = (first != last) & (due == time)
        m.d.comb += [
            now.eq(Mux(self.go, self.word, held)),
            self.ends.eq((self.go & (self.word.ticks == 1)) | (left == 1)),
            self.freed.eq(Mux(self.ends, now.frees, 0)),
            self.filled.eq(Mux(arrives, mask, 0) | Mux(self.ends & at_once, now.control.fills, 0)),
            write.en.eq(self.ends & ~at_once),
            write.addr.eq(last),
            write.data.eq(Cat(now.control.fills, (time + now.latency)[:32])),
            read.addr.eq(first),
        ]
        m.d.sync += [time.eq(time + 1), last.eq(last + write.en), first.eq(first + arrives)]
        with m.If(self.go):
            m.d.sync += [held.eq(self.word), left.eq(self.word.ticks - 1)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        return m


class Bench(wiring.Component):
    """The control with an engine of each kind. word_0, word_1 ... and op: the heads of the queues, where valid.

    go: an engine takes its word in this cycle. takes_op: the op is taken. over: this is an op's last cycle. worst: more
    slots are full and empty than a buffer can have.
    """

    def __init__(self, shape: ControlShape) -> None:
        self.shape = shape
        words = {f"word_{number}": In(word(shape)) for number in range(shape.engines)}
        inputs = {"valid": In(shape.engines), "op": In(shape.op), "op_valid": In(1)}
        outputs = {"go": Out(shape.engines), "takes_op": Out(1), "over": Out(1), "worst": Out(1)}
        super().__init__({**words, **inputs, **outputs})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.control = control = CoreControl(self.shape)
        freed = filled = 0
        for number, queue in enumerate(control.commands):
            given = getattr(self, f"word_{number}")
            m.submodules[f"engine_{number}"] = engine = CountingEngine(self.shape)
            m.d.comb += [
                queue.payload.eq(given.control),
                queue.valid.eq(self.valid[number]),
                engine.word.eq(given),
                engine.go.eq(control.go[number]),
                control.ends[number].eq(engine.ends),
            ]
            freed, filled = freed | engine.freed, filled | engine.filled
        most = self.shape.most_slots
        m.d.comb += [
            control.ops.payload.eq(self.op),
            control.ops.valid.eq(self.op_valid),
            control.freed.eq(freed),
            control.filled.eq(filled),
            self.go.eq(control.go),
            self.takes_op.eq(control.ops.valid & control.ops.ready),
            self.over.eq(control.over),
            self.worst.eq(
                Cat(full + empty > most for full, empty in zip(control.full, control.empty, strict=True)).any()
            ),
        ]
        return m


# queues: the words of each engine, counts: how many. starts: the cycle in which each of them is taken; ends: the last
# one of each op. Returns the cycles until the last op is over, -1 after `limit` of them, -2 for too many slots.
CARRY_OUT = """
extern "C" int64_t carry_out(Vblock* b, uint64_t limit, uint64_t** queues, uint64_t* counts, uint64_t* ops,
                             uint64_t op_count, uint64_t** starts, uint64_t* ends) {
    uint64_t at[ENGINES] = {}, op = 0, over = 0;
    for (uint64_t c = 0; c < limit; c++) {
        uint64_t valid = 0;
        for (int e = 0; e < ENGINES; e++) valid |= (uint64_t)(at[e] < counts[e]) << e;
        PUT
        b->valid = valid, b->op_valid = op < op_count, b->op = ops[op < op_count ? op : 0];
        b->eval();
        if (b->worst) return -2;
        for (int e = 0; e < ENGINES; e++)
            if (b->go >> e & 1) starts[e][at[e]++] = c;
        op += b->takes_op;
        if (b->over) ends[over++] = c;
        edge(b);
        if (over == op_count) return c + 1;
    }
    return -1;
}
"""


@dataclass(frozen=True)
class Compared:
    """What the control did with an op, beside SimPy: commands, cycles of both, and starts that differ."""

    commands: int
    cycles: int
    wanted: int
    differ: int


class Log:
    """The start of every command that takes cycles, in the order of each engine."""

    def __init__(self) -> None:
        self.starts: dict[str, list[int]] = {}

    def command(self, command: Command, start: int, end: int) -> None:
        if end > start:
            self.starts.setdefault(command.engine, []).append(start)


@cache
def bench() -> Compiled:
    """The bench, built once: every comparison powers it up anew."""
    made, count = Bench(SHAPE), len(ENGINES)
    put = " ".join(f"if (valid >> {e} & 1) b->word_{e} = queues[{e}][at[{e}]];" for e in range(count))
    extra = CARRY_OUT.replace("ENGINES", str(count)).replace("PUT", put)
    text = rtlil.convert(made, name="core_control", emit_src=False)
    return built(text, lambda: to_verilog(made, "core_control"), "core_control", ports_of(made), extra=extra)


def compared(programs: Sequence[Program]) -> list[Compared]:
    """Programs as ops one after the other, without a cycle between them, on the control and in SimPy."""
    ops = [CoreOp(program, SHAPE, ENGINES) for program in programs]
    logs = [Log() for _ in ops]
    wanted = [ExactRun(op.program, log).run() for op, log in zip(ops, logs, strict=True)]
    starts, ends = _carry_out(ops, 2 * sum(wanted) + 64)
    found, places, base = [], dict.fromkeys(ENGINES, 0), 1  # the first op is loaded in cycle 0
    for log, cycles, end in zip(logs, wanted, ends.tolist(), strict=True):
        differ = commands = 0
        for engine, seen in zip(ENGINES, starts, strict=True):
            expected = np.array(log.starts.get(engine, []), np.int64)
            mine = seen[places[engine] : places[engine] + len(expected)].astype(np.int64) - base
            places[engine] += len(expected)
            commands += len(expected)
            differ += int((mine != expected).sum())
        found.append(Compared(commands, end - base + 1, cycles, differ))
        base = end + 1
    return found


def _carry_out(ops: Sequence[CoreOp], limit: int) -> tuple[list[Words], Words]:
    """The cycles in which the commands of each engine begin, and the last cycle of each op."""
    queues = [
        np.array(
            [
                _bits(op, command, last=place == len(op.queues[engine]))
                for op in ops
                for place, command in enumerate(op.queues[engine], 1)
            ]
            or [0],
            np.uint64,
        )
        for engine in ENGINES
    ]
    counts = np.array([sum(len(op.queues[engine]) for op in ops) for engine in ENGINES], np.uint64)
    slots, starts = np.array([_op_bits(op) for op in ops], np.uint64), [np.zeros_like(each) for each in queues]
    ends, block = np.zeros(len(ops), np.uint64), bench()
    block.power_up()
    block.code.carry_out.restype = ctypes.c_int64
    done = block.code.carry_out(
        block.block,
        ctypes.c_uint64(limit),
        _pointers(queues),
        ctypes.c_void_p(counts.ctypes.data),
        ctypes.c_void_p(slots.ctypes.data),
        ctypes.c_uint64(len(ops)),
        _pointers(starts),
        ctypes.c_void_p(ends.ctypes.data),
    )
    assert done != -2, "a buffer has more slots than it was given"
    assert done > 0, f"the ops are not over after {limit} cycles: {ends}"
    return starts, ends


def _pointers(arrays: Sequence[Words]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(arrays))(*(each.ctypes.data for each in arrays))


def _bits(op: CoreOp, command: Command, last: bool) -> int:
    """As `word` lays it out, lowest bits first; Amaranth's own constants would take longer than the simulation."""
    takes, fills, frees = (op.mask(each) for each in (command.takes, command.fills, command.frees))
    assert command.latency < LATENCY and command.ticks < 1 << TICKS
    width = op.shape.buffers
    low = takes | fills << width | int(last) << 2 * width | frees << 2 * width + 1
    return low | command.ticks << 3 * width + 1 | command.latency << 3 * width + 1 + TICKS


def _op_bits(op: CoreOp) -> int:
    slots = [buffer.slots for buffer in op.program.buffers]
    active = sum(1 << number for number, engine in enumerate(ENGINES) if op.queues[engine])
    padded = slots + [0] * (op.shape.buffers - len(slots))
    return int(op.shape.op.const({"slots": padded, "active": active}).as_bits())
