"""The DMA engine before the model of DRAM, with a host that begins commands as it is told: all it writes, and when.

The memories are a list of what stood on the write port. The banks of sums never change, and a read of sums that had not
been announced is counted.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from amaranth.back import rtlil
from numpy.typing import NDArray

from rtl.core.dma import Dma
from rtl.core.dram import COUNTS, DramRate, blamed, dram_text
from rtl.core.walk import WalkShape
from rtl.tools import to_verilog
from rtl.verilate import Compiled, Words, built, ports_of
from tests.rtl.core_dma_cases import BASE, COLUMNS, DEPTH, SHAPE, Order

WRITE = ("memory", "per", "address", "bank", "index", "data")  # what is told of a word, after its cycle


@dataclass(frozen=True)
class Ran:
    """go, ends: cycles of every command. filled, freed: (n, 2) cycles and tags. writes: (n, 7) cycles and `WRITE`."""

    go: Words
    ends: Words
    filled: Words
    freed: Words
    writes: Words
    bursts: int


# what is told of commands, walks, and sums has a value each; `counts`: those of DRAM, then reads of sums that had not
# been announced, and how much there is of `filled`, `freed` and `writes`
CARRY_OUT = """
struct Told {
    uint64_t limit, count, loads, walks, stores, most, wait_for_b, num, den, latency, base, size;
    uint64_t *commands, *earliest, *load_walks, *store_walks, *ready, *beats, *narrows, *sums, *words;
    uint64_t *go, *ends, *filled, *freed, *writes, *counts;
};
template <class Wide> static void put(Wide& port, const uint64_t* words, int halves) {
    for (int half = 0; half < halves; half++) port[half] = words[half / 2] >> 32 * (half % 2);
}
template <class Wide> static uint64_t part(const Wide& port, int start, int bits) {
    uint64_t value = 0;
    for (int bit = 0; bit < bits; bit++) value |= (uint64_t)(port[(start + bit) / 32] >> (start + bit) % 32 & 1) << bit;
    return value;
}
extern "C" int64_t carry_out(Vblock* b, Told* t) {
    Dram d{t->num, t->den, t->latency, t->base, t->size, t->words};
    uint64_t begun = 0, ended = 0, full = 0, empty = 0, written = 0;
    uint64_t load = 0, store = 0, told = 0, announced = 0, known = 0, fetched = 0, early = 0;
    b->wait_for_b = t->wait_for_b;
    for (uint64_t c = 0; c < t->limit; c++) {
        b->go = begun == ended && begun < t->count && c >= t->earliest[begun];
        if (b->go) b->command = t->commands[begun], t->go[begun++] = c;
        b->ready_store = announced < t->stores && c == t->ready[announced];
        b->store_words__valid = told < t->stores;
        if (b->store_words__valid) b->store_words__payload = t->narrows[told];
        b->load_walks__valid = load < t->loads;
        if (b->load_walks__valid) put(b->load_walks__payload, t->load_walks + load * LOAD_WORDS, LOAD_HALVES);
        b->store_walks__valid = store < t->walks;
        if (b->store_walks__valid) put(b->store_walks__payload, t->store_walks + store * STORE_WORDS, STORE_HALVES);
        b->eval();
        d.look(b);
        if (b->ends && begun == ended) return -2;
        if (b->ends) t->ends[ended++] = c;
        if (b->filled) t->filled[2 * full] = c, t->filled[2 * full++ + 1] = b->filled_tag;
        if (b->freed) t->freed[2 * empty] = c, t->freed[2 * empty++ + 1] = b->freed_tag;
        if (b->write[0] & 1) {
            if (written == t->most) return -3;
            uint64_t* row = t->writes + (FIELDS + 1) * written++;
            row[0] = c;
            for (int n = 0; n < FIELDS; n++) row[n + 1] = part(b->write, FIELD[n][0], FIELD[n][1]);
        }
        bool reads = b->read & 1;
        uint64_t address = b->read >> 1 & (DEPTH - 1), bank = b->read >> ADDRESS_BITS + 1;
        if (reads) early += fetched++ >= known;
        load += b->load_walks__valid && b->load_walks__ready;
        store += b->store_walks__valid && b->store_walks__ready;
        told += b->store_words__valid && b->store_words__ready;
        if (b->ready_store) known += t->beats[announced++];
        d.step(b);
        edge(b);
        for (uint64_t s = 0; s < 4; s++)
            b->sums[s] = reads && bank + s < COLUMNS ? t->sums[(bank + s) * DEPTH + address] : 0xabadcafe;
        b->eval();
        if (ended == t->count && b->idle) {
            for (int n = 0; n < Dram::COUNT; n++) t->counts[n] = d.counts[n];
            uint64_t more[] = {early, full, empty, written};
            for (int n = 0; n < 4; n++) t->counts[Dram::COUNT + n] = more[n];
            return c + 1;
        }
    }
    return -1;
}
"""


@cache
def bench() -> Compiled:
    """The bench, built once: every run powers it up anew."""
    made = Dma(SHAPE)
    ports = ports_of(made)
    load, store = (next(port for port in ports if port.name == f"{kind}_walks__payload") for kind in ("load", "store"))
    numbers = {
        "LOAD_WORDS": load.words,
        "STORE_WORDS": store.words,
        "LOAD_HALVES": -(-load.bits // 32),
        "STORE_HALVES": -(-store.bits // 32),
        "ADDRESS_BITS": SHAPE.sums.address_bits,
        "DEPTH": DEPTH,
        "COLUMNS": COLUMNS,
        "FIELDS": len(WRITE),
    }
    fields = ", ".join(f"{{{SHAPE.write[name].offset}, {SHAPE.write[name].width}}}" for name in WRITE)
    names = ", ".join(f"{name} = {value}" for name, value in numbers.items())
    constants = f"enum : uint64_t {{ {names} }};\nconst int FIELD[][2] = {{{fields}}};\n"
    text = rtlil.convert(made, name="core_dma", emit_src=False)
    extra = dram_text() + constants + CARRY_OUT.replace("__", "___05F")  # as Verilator spells it
    return built(text, lambda: to_verilog(made, "core_dma"), "core_dma", ports, extra=extra)


def carried_out(
    orders: Sequence[Order],
    sums: NDArray[np.uint32],
    words: NDArray[np.uint64],
    rate: DramRate,
    latency: int,
    wait_for_b: bool = False,
) -> Ran:
    """Carry orders out. sums: (columns, depth). words: DRAM from `BASE` on, in which stores write."""
    stores = [order for order in orders if order.transfer.store]
    loads = [order for order in orders if not order.transfer.store]
    most = sum(order.transfer.beats for order in loads)
    count, block = len(orders), bench()
    load_walks, store_walks = _walks(loads, SHAPE.places), _walks(stores, SHAPE.sums)
    given = [
        _array([order.transfer.bits(SHAPE) for order in orders]),
        _array([order.earliest for order in orders]),
        load_walks,
        store_walks,
        _array([order.ready for order in stores]),
        _array([order.transfer.beats for order in stores]),
        _array([order.narrows for order in stores]),
        _array(sums.ravel().tolist()),
        words,
    ]
    go, ends = np.zeros(count, np.uint64), np.zeros(count, np.uint64)
    filled, freed = np.zeros((count, 2), np.uint64), np.zeros((count, 2), np.uint64)
    writes, counts = np.zeros((most, len(WRITE) + 1), np.uint64), np.zeros(len(COUNTS) + 4, np.uint64)
    limit = 2 * max(order.earliest for order in orders) + 100 * most + 100_000
    numbers = [limit, count, len(load_walks), len(store_walks), len(stores), most, int(wait_for_b), *rate, latency]
    arrays = [*given, go, ends, filled, freed, writes, counts]
    told = np.array([*numbers, BASE, 8 * len(words), *(each.ctypes.data for each in arrays)], np.uint64)
    block.power_up()
    block.code.carry_out.restype = ctypes.c_int64
    done = block.code.carry_out(block.block, ctypes.c_void_p(told.ctypes.data))
    assert done > 0, f"not over after {limit} cycles, or too many ends (-2) or writes (-3): {done}"
    of_dram, (early, full, empty, written) = counts[: len(COUNTS)].tolist(), counts[len(COUNTS) :].tolist()
    assert blamed(of_dram) == {} and early == 0, (blamed(of_dram), early)
    return Ran(go, ends, filled[:full], freed[:empty], writes[:written], of_dram[COUNTS.index("bursts")])


def _array(values: Sequence[int]) -> Words:
    return np.array(values or [0], np.uint64)


def _walks(orders: Sequence[Order], shape: WalkShape) -> Words:
    """(walks, words of each), the last one of an order marked."""
    words = -(-shape.walk.size // 64)
    of = [(walk, place == len(order.walks)) for order in orders for place, walk in enumerate(order.walks, 1)]
    bits = [walk.bits(shape, last) for walk, last in of]
    rows = [[each >> 64 * word & (1 << 64) - 1 for word in range(words)] for each in bits]
    return np.array(rows, np.uint64).reshape(-1, words)
