"""The array as compiled hardware: tiles go in from numpy, sums and counters come back."""

import ctypes
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtl.array import array_signature
from rtl.formats import Bits
from rtl.hardware import COUNTERS
from rtl.parameters import Parameters
from rtl.tiles import Tile, run_bits
from rtl.verilate import Compiled, built, ports_of
from rtl.verilog import array_verilog, fingerprint

PRIME = 4  # times a row's buffer: cycles in which it is surely full
INLINE = 36  # up to so many PEs it is faster when the compiler sees all of them at once


@dataclass(frozen=True)
class Ran:
    """What a tile gave: (rows, cols) sums, the counters, and the cycles from outside until the last sum was taken."""

    product: Bits
    counters: dict[str, int]
    elapsed: int


class _Side(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("count", "bits", "longest")] + [
        (name, ctypes.c_void_p) for name in ("words", "lengths")
    ]


class CompiledArray:
    """An array in compiled simulation; state lives on from tile to tile."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self._compiled = _build(parameters)
        self._compiled.code.tile.restype = ctypes.c_int64

    def run(self, tile: Tile, gaps: int = 0, seed: int = 1) -> Ran:
        """Run one tile. gaps: of 256 cycles, so many in which a stream does not go on, by chance from `seed`.

        Raises TimeoutError when sums do not come, with what has come.
        """
        p = self.parameters
        sums = np.zeros((p.cols, max(1, tile.results)), np.uint64)
        sides = [
            _side(tile.west, p.rows, p.west_link * p.operand.bits + 1),
            _side(tile.north, p.cols, p.weight_bits),
            _side(tile.seeds, p.cols, p.accumulator.bits),
        ]
        prime = PRIME * p.buffer * p.group_words
        patience = (prime + 64 + 4 * tile.cycles) * (4 if gaps == 0 else 64)
        number = run_bits(tile.run)
        elapsed = self._compiled.code.tile(
            self._compiled.block,
            (ctypes.c_uint64 * 4)(*(number >> 64 * at & (1 << 64) - 1 for at in range(4))),
            *(ctypes.byref(side) for side, *_ in sides),
            *_words(tile.results),
            sums.ctypes.data_as(ctypes.c_void_p),
            *_words(p.cols, p.accumulator.bits, prime, patience, seed, gaps),
        )
        if elapsed < 0:
            raise TimeoutError(f"the array gave {'too few' if elapsed == -1 else 'too many'} sums: {tile.run}")
        counted = np.zeros(len(COUNTERS), np.uint64)
        self._compiled.code.counters(self._compiled.block, counted.ctypes.data_as(ctypes.c_void_p))
        product = tile.product(sums) if tile.results else np.zeros((0, 0), np.uint32)
        return Ran(product, dict(zip(COUNTERS, counted.tolist(), strict=True)), elapsed)


def _words(*values: int) -> list[ctypes.c_uint64]:
    return [ctypes.c_uint64(value) for value in values]


def _side(
    words: Sequence[Sequence[int]], count: int, bits: int
) -> tuple[_Side, NDArray[np.uint64], NDArray[np.uint64]]:
    """Streams for the harness, and the arrays that must live as long."""
    lengths = np.array([len(each) for each in words] or [0] * count, np.uint64)
    longest = max(1, int(lengths.max()))
    size = -(-bits // 64)
    data = np.zeros((count, longest, size), np.uint64)
    for stream, each in enumerate(words):
        for part in range(size):
            chunk = np.array(each, object) >> 64 * part & (1 << 64) - 1 if size > 1 else np.array(each)
            data[stream, : len(each), part] = chunk
    return _Side(count, bits, longest, data.ctypes.data, lengths.ctypes.data), data, lengths


def _build(p: Parameters) -> Compiled:
    key = f"{p} {fingerprint(p)}"
    extra = (Path(__file__).parent / "streams.cpp").read_text()
    ports = ports_of(array_signature(p).create())

    def text() -> str:
        whole = array_verilog(p)
        if p.rows * p.cols <= INLINE:
            return whole
        return re.sub(r"(module sparse_pe\(.*?\);)", r"\1 /*verilator no_inline_module*/", whole, count=1)

    return built(key, text, "sparse_array", ports, extra=extra)
