"""The core compiled, with a model of DRAM behind it: queues go in, the cycle of every command comes out."""

import ctypes
import inspect
from dataclasses import dataclass
from functools import cache
from typing import Protocol, final

import numpy as np
from amaranth.back import rtlil
from numpy.typing import NDArray

from rtl import divider, formats, multiply_add, pipeline, wuve
from rtl.array import block_verilog, blocks_verilog, fingerprint
from rtl.core.core import ENGINES, Core, CoreLayout
from rtl.core.dram import COUNTS, blamed, dram_text
from rtl.core.feeding import QUEUES, Feed, columns_of
from rtl.core.storing import STORE_WORD
from rtl.placing import as_instance, module_name
from rtl.tools import to_verilog
from rtl.verilate import Compiled, Port, built, ports_of
from rtl.wuve import Wuve

ENDLESS = 1 << 40  # cycles: each command that begins is one of finitely many

CARRY_OUT = """
struct Queue { uint32_t* data; uint64_t count, at; };
extern "C" int64_t carry_out(Vblock* b, uint64_t limit, uint32_t** data, uint64_t* counts, uint64_t* memory,
                             uint64_t words, uint64_t* rate, uint64_t** starts, uint64_t* ends, uint64_t* waits,
                             uint64_t* said, uint64_t waits_for_b, uint64_t patience) {
    Dram dram;
    dram.num = rate[0], dram.den = rate[1], dram.latency = rate[2], dram.base = 0, dram.size = 8 * words;
    dram.words = memory;
    Queue q[QUEUES];
    for (int i = 0; i < QUEUES; i++) q[i] = {data[i], counts[i], 0};
    uint64_t begun[ENGINES] = {}, over = 0, quiet = 0, c = 0;
    b->wait_for_b = waits_for_b;
    int64_t result = -1;
    for (; c < limit; c++) {
        PUT
        b->eval();
        dram.look(b);
        b->eval();
        for (int e = 0; e < ENGINES; e++)
            if (b->go >> e & 1) starts[e][begun[e]++] = c;
        quiet = b->go ? 0 : quiet + 1;
        WAITS
        if (q[OPS].at == 0 && b->ops___05Fvalid && b->ops___05Fready) said[5 + ENGINES + Dram::COUNT] = c + 1;
        if (b->over) ends[over++] = c;
        TAKE
        dram.step(b);
        bool stops = b->fault || quiet > patience;
        edge(b);
        if (stops || over == counts[OPS]) { result = stops ? -2 : (int64_t)c + 1; break; }
    }
    // what is still on its way to DRAM
    for (int i = 0; i < 64; i++) { b->eval(); dram.look(b); b->eval(); dram.step(b); edge(b); }
    b->eval();
    said[0] = b->fault, said[1] = b->run_error, said[2] = c, said[3] = over, said[4] = LACKING;
    for (int e = 0; e < ENGINES; e++) said[5 + e] = begun[e];
    for (int i = 0; i < Dram::COUNT; i++) said[5 + ENGINES + i] = dram.counts[i];
    return result;
}
"""


@final
@dataclass(frozen=True)
class CoreRan:
    """The course of a run: the cycle in which each command of each engine began, and the last one of each op.

    cycles: of all of it, or -2 where the core stopped. waits: cycles in which each engine could have begun but for a
    buffer, [engine, buffer]. faulty: what the DRAM's model found wrong. first: the first cycle of the first op.
    """

    cycles: int
    starts: list[NDArray[np.uint64]]
    ends: NDArray[np.uint64]
    waits: NDArray[np.uint64]
    fault: int
    run_error: int
    stopped_at: int
    lacking: int
    faulty: dict[str, int]
    first: int


@final
@dataclass(frozen=True)
class Fed:
    """The words of every queue in parts of 32 bits, the lowest first: (words, parts). order: as `Feed.order`."""

    words: dict[str, NDArray[np.uint32]]
    order: tuple[str, ...] = ()


class CarriesOut(Protocol):
    """A core that carries out feeds: compiled, or on a board."""

    def fed(self, feed: Feed) -> Fed:
        """A feed as it is taken."""
        ...

    def run(
        self,
        fed: Fed,
        memory: NDArray[np.uint64],
        rate: tuple[int, int, int],
        patience: int,
        wait_for_b: bool = False,
    ) -> CoreRan:
        """As `CompiledCore.run`."""
        ...


@final
class CompiledCore:
    """A core of a layout, compiled once and kept."""

    def __init__(self, layout: CoreLayout) -> None:
        self.layout = layout
        core, edge = Core(layout, as_instance), layout.shape.edge
        ports = ports_of(core)
        text = rtlil.convert(core, name="core", emit_src=False)
        self.block: Compiled = built(
            f"{edge} {text} {fingerprint(edge)} {lane_key(layout)}",
            lambda: f"{blocks_verilog(edge)}\n{lane_verilog(layout)}{to_verilog(Core(layout, as_instance), 'core')}",
            "core",
            ports,
            extra=_harness(layout, ports),
        )
        self.block.code.carry_out.restype = ctypes.c_int64

    def fed(self, feed: Feed) -> "Fed":
        """A feed as the circuit takes it."""
        layout = self.layout
        widths = {name: word.size for name, word in zip(ENGINES, layout.words, strict=True)}
        widths |= dict.fromkeys(("load_walks", "store_walks", "sort_walks", "turn_walks"), layout.shape.walks.walk.size)
        widths |= {"store_words": STORE_WORD.size, "constants": layout.constants.size, "ops": layout.control.op.size}
        columns = {name: columns_of(widths[name], feed.words[name]) for name in QUEUES}
        return Fed(columns, tuple(feed.order))

    def run(
        self,
        fed: "Fed",
        memory: NDArray[np.uint64],
        rate: tuple[int, int, int],
        patience: int,
        wait_for_b: bool = False,
    ) -> CoreRan:
        """Carry out a feed. memory: words of DRAM, where results are left. rate: bytes in so many cycles, latency.

        patience: cycles without a command that begins, after which the core is taken to have stopped.
        """
        layout, words = self.layout, fed.words
        data = [words[name] if len(words[name]) else np.zeros((1, 1), np.uint32) for name in QUEUES]
        counts = np.array([len(words[name]) for name in QUEUES], np.uint64)
        starts = [np.zeros(max(1, len(words[name])), np.uint64) for name in ENGINES]
        ends = np.zeros(max(1, len(words["ops"])), np.uint64)
        waits = np.zeros((len(ENGINES), layout.control.buffers), np.uint64)
        said = np.zeros(6 + len(ENGINES) + len(COUNTS), np.uint64)
        pace = np.array(rate, np.uint64)
        self.block.power_up()
        cycles = self.block.code.carry_out(
            self.block.block, ctypes.c_uint64(ENDLESS), _pointers(data), _pointer(counts), _pointer(memory),
            ctypes.c_uint64(len(memory)), _pointer(pace), _pointers(starts), _pointer(ends), _pointer(waits),
            _pointer(said), ctypes.c_uint64(wait_for_b), ctypes.c_uint64(patience),
        )  # fmt: skip
        begun = said[5 : 5 + len(ENGINES)].astype(int)
        return CoreRan(
            cycles,
            [each[:count] for each, count in zip(starts, begun, strict=True)],
            ends[: int(said[3])],
            waits,
            int(said[0]),
            int(said[1]),
            int(said[2]),
            int(said[4]),
            blamed(said[5 + len(ENGINES) : -1].tolist()),
            int(said[-1]),
        )


@cache
def compiled_core(layout: CoreLayout) -> CompiledCore:
    """The core of a layout, one for all: which one it is takes seconds to find out."""
    return CompiledCore(layout)


def lane_verilog(layout: CoreLayout) -> str:
    """Verilog of a lane of the update engine; nothing where there is none."""
    return "" if layout.updates is None else block_verilog(Wuve(layout.updates.lane), module_name(Wuve))


def lane_key(layout: CoreLayout) -> str:
    """A text that changes whenever that Verilog does, and takes no time."""
    if layout.updates is None:
        return ""
    sources = (wuve, multiply_add, divider, formats, pipeline)
    return str(layout.updates.lane) + "".join(inspect.getsource(each) for each in sources)


def _harness(layout: CoreLayout, ports: list[Port]) -> str:
    """C++ that feeds the queues of one layout."""
    by_name = {port.name: port for port in ports}
    put, take = list[str](), list[str]()
    for number, name in enumerate(QUEUES):
        payload = by_name[f"{name}__payload"]
        parts = -(-payload.bits // 32)
        valid, ready = by_name[f"{name}__valid"].member, by_name[f"{name}__ready"].member
        put.append(f"b->{valid} = q[{number}].at < q[{number}].count;")
        source = f"q[{number}].data[q[{number}].at * {parts}"
        there = f"if (q[{number}].at < q[{number}].count)"
        if payload.bits > 64:
            put.append(f"{there} for (int w = 0; w < {parts}; w++) b->{payload.member}[w] = {source} + w];")
        elif parts == 2:
            put.append(f"{there} b->{payload.member} = {source}] | (uint64_t){source} + 1] << 32;")
        else:
            put.append(f"{there} b->{payload.member} = {source}];")
        take.append(f"q[{number}].at += b->{valid} && b->{ready};")
    buffers, lacking = layout.control.buffers, by_name["lacking"]
    bits = f"((uint64_t)b->{lacking.member})"
    waits = f"for (int i = 0; i < {len(ENGINES) * buffers}; i++) waits[i] += {bits} >> i & 1;"
    text = CARRY_OUT.replace("QUEUES", str(len(QUEUES))).replace("ENGINES", str(len(ENGINES)))
    text = text.replace("OPS", str(QUEUES.index("ops"))).replace("LACKING", bits)
    text = text.replace("PUT", "\n        ".join(put)).replace("TAKE", "\n        ".join(take)).replace("WAITS", waits)
    return dram_text() + text


def _pointer(array: NDArray[np.generic]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _pointers(arrays: list[NDArray[np.uint32]] | list[NDArray[np.uint64]]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(arrays))(*(each.ctypes.data for each in arrays))
