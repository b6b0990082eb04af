"""A compiled block with one stream in (i) and one out (o), fed and drained with random gaps, its contract watched."""

import ctypes
from collections.abc import Mapping
from string import Template

import numpy as np
from amaranth.back import rtlil, verilog
from amaranth.lib import wiring
from amaranth.lib.data import Layout

from rtl.formats import Bits
from rtl.verilate import Compiled, built, ports_of

FLOW = Template(
    """
static bool rolls(uint64_t& state, uint64_t of256) {
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    return ((state * 2685821657736338717ull) >> 56) < of256;
}
extern "C" int64_t flow(Vblock* b, uint64_t count, uint32_t* in, uint64_t room, uint32_t* out, uint64_t* stats,
                        uint64_t gaps, uint64_t waits, uint64_t seed) {
    uint64_t sent = 0, got = 0, quiet = 0, cycles = 0;
    bool offering = false, held = false;
    uint32_t before[$owords];
    while ((sent < count || got < room) && quiet < 4096) {
        if (!offering && sent < count && !rolls(seed, gaps)) offering = true;
        b->i___05Fvalid = offering;
        uint64_t all[$iwords / 2 + 1] = {};
        for (int w = 0; w < $iwords; w++) {
            uint32_t word = offering ? in[sent * $iwords + w] : uint32_t(seed >> w);
            if (w == $iwords - 1) word &= ${top}u;
            all[w / 2] |= uint64_t(word) << 32 * (w % 2);
        }
        $put
        b->o___05Fready = 0;
        b->eval();
        bool early = b->o___05Fvalid;  // must not wait for ready, nor change with it
        b->o___05Fready = !rolls(seed, waits);
        b->eval();
        if (early != (bool)b->o___05Fvalid) return -3;
        if (held && !b->o___05Fvalid) return -1;
        if (b->o___05Fvalid)
            for (int w = 0; w < $owords; w++) {
                uint32_t word = $take;
                if (held && before[w] != word) return -2;
                before[w] = word;
            }
        held = b->o___05Fvalid && !b->o___05Fready;
        quiet++;
        if (offering && b->i___05Fready) sent++, offering = false, quiet = 0;
        if (b->o___05Fvalid && b->o___05Fready) {
            if (got == room) return -4;
            for (int w = 0; w < $owords; w++) out[got * $owords + w] = before[w];
            got++, quiet = 0;
        }
        edge(b);
        cycles++;
    }
    stats[0] = sent, stats[1] = cycles;
    return got;
}
"""
)
PUT_WIDE = Template("for (int w = 0; w < $iwords; w++) b->i___05Fpayload[w] = uint32_t(all[w / 2] >> 32 * (w % 2));")
FAULTS = {
    -1: "a result was offered and withdrawn",
    -2: "a result changed while nobody had taken it",
    -3: "whether a result is offered depended on whether it would be taken",
    -4: "there were more results than expected",
}


class Flow:
    """Runs streams of structs of 32-bit words and less through a block."""

    def __init__(self, block: wiring.Component, text: str = "", extra: str = "", **steady: int) -> None:
        """text: Verilog to use instead of the block's own, with more C++. steady: values of other inputs, by port."""
        self._in, self._out = block.i.payload.shape(), block.o.payload.shape()
        ports = ports_of(block)
        widths = {port.name: port.bits for port in ports}
        iwords, owords = (-(-widths[name] // 32) for name in ("i__payload", "o__payload"))
        flow = FLOW.substitute(
            iwords=iwords,
            owords=owords,
            top=(1 << (widths["i__payload"] - 1) % 32 + 1) - 1,
            put=PUT_WIDE.substitute(iwords=iwords) if widths["i__payload"] > 64 else "b->i___05Fpayload = all[0];",
            take="b->o___05Fpayload[w]" if widths["o__payload"] > 64 else "uint64_t(b->o___05Fpayload) >> 32 * w",
        )
        self._words = iwords, owords
        key = text or rtlil.convert(block, name="block", emit_src=False)
        self._block = built(
            key,
            lambda: text or verilog.convert(block, name="block", emit_src=False),
            "block",
            ports,
            extra=flow + extra,
        )
        self._block.code.flow.restype = ctypes.c_int64
        self._steady(self._block, steady)

    def _steady(self, block: Compiled, steady: Mapping[str, int]) -> None:
        for port in block.inputs:
            if port.name in steady:
                words = [steady[port.name] >> 64 * word & (1 << 64) - 1 for word in range(port.words)]
                block.run(**{port.name: np.array([words] if port.words > 1 else words, np.uint64)})

    def run(
        self, fields: Mapping[str, Bits], expected: int, gaps: int = 0, waits: int = 0, seed: int = 1
    ) -> tuple[dict[str, Bits], int]:
        """(fields of the results, cycles). gaps, waits: of 256 cycles, so many without an operand, or a taker.

        Raises AssertionError when the block broke the contract of streams.
        """
        given = _packed(self._in, fields, self._words[0])
        made = np.zeros((expected, self._words[1]), np.uint32)
        stats = np.zeros(2, np.uint64)
        got = self._block.code.flow(
            self._block.block, ctypes.c_uint64(len(given)), given.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_uint64(expected), made.ctypes.data_as(ctypes.c_void_p), stats.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_uint64(gaps), ctypes.c_uint64(waits), ctypes.c_uint64(seed),
        )  # fmt: skip
        assert got >= 0, FAULTS[got]
        assert (got, stats[0]) == (expected, len(given)), "operands or results were left over"
        return _unpacked(self._out, made), int(stats[1])


def _packed(layout: Layout, fields: Mapping[str, Bits], words: int) -> np.ndarray:
    packed = np.zeros((len(next(iter(fields.values()))), words + 1), np.uint32)
    for name, field in layout:
        word, bit = divmod(field.offset, 32)
        value = fields[name].astype(np.uint64) << np.uint64(bit)
        packed[:, word] |= value.astype(np.uint32)
        packed[:, word + 1] |= (value >> np.uint64(32)).astype(np.uint32)
    return np.ascontiguousarray(packed[:, :words])


def _unpacked(layout: Layout, words: np.ndarray) -> dict[str, Bits]:
    padded = np.pad(words, [(0, 0), (0, 1)]).astype(np.uint64)
    fields = {}
    for name, field in layout:
        word, bit = divmod(field.offset, 32)
        both = padded[:, word] | padded[:, word + 1] << np.uint64(32)
        fields[name] = (both >> np.uint64(bit) & np.uint64((1 << field.width) - 1)).astype(np.uint32)
    return fields
