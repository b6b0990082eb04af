"""The array, and lanes of SORE and WUVE, as compiled RTL in this process: numpy goes in and comes back."""

import ctypes
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import final

import numpy as np
from amaranth.lib import wiring
from amaranth.lib.data import Layout
from numpy.typing import NDArray

from rtl.array import array_signature, array_verilog, fingerprint
from rtl.formats import Bits
from rtl.hardware import COUNTERS, Answer, Hardware, LinkFigures, Unconfirmed
from rtl.lanes import SoreParameters, UpdateParameters, ends_of
from rtl.parameters import Parameters
from rtl.sore import Sore
from rtl.tiles import Tile, run_bits
from rtl.verilate import Compiled, Words, built, compiled, ports_of
from rtl.wuve import Wuve

LATENCY = 256  # cycles in which the last result of a lane has surely come
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


def top_n(lane: SoreParameters, values: Bits, n: int, m: int) -> tuple[Bits, Bits]:
    """(kept values, their indices) of a run of values in groups of m."""
    made = _run(_sore(lane), {"value": values, "last": ends_of(len(values), m)}, keep=_steady(n))
    return made["value"], made["index"]


def updated(lane: UpdateParameters, fields: Mapping[str, Bits], constants: Mapping[str, int]) -> dict[str, Bits]:
    """Weights, state and operands after a step; the same as `rtl.golden.units.updated`."""
    number = sum(constants[name] << 32 * place for place, name in enumerate(lane.constants))
    return _run(_wuve(lane), fields, constants=_steady(number, 32 * len(lane.constants)))


@cache
def _sore(lane: SoreParameters) -> tuple[wiring.Component, Compiled]:
    return (block := Sore(lane)), compiled(block)


@cache
def _wuve(lane: UpdateParameters) -> tuple[wiring.Component, Compiled]:
    return (block := Wuve(lane)), compiled(block)


def _steady(number: int, bits: int = 1) -> Words:
    return np.array([number >> 64 * word & (1 << 64) - 1 for word in range(-(-bits // 64))], np.uint64)


def _run(made: tuple[wiring.Component, Compiled], fields: Mapping[str, Bits], **steady: Words) -> dict[str, Bits]:
    """Every item in its cycle: a lane takes one a cycle while what it gives is taken, which is checked."""
    block, lane = made
    count = len(next(iter(fields.values())))
    cycles = count + LATENCY
    lane.reset()
    given = _structs(block.i.payload.shape(), fields, cycles)
    held = {
        name: np.broadcast_to(value if len(value) > 1 else value[0], (cycles, *value.shape[value.size == 1 :]))
        for name, value in steady.items()
    }
    came = lane.run(i__valid=np.arange(cycles) < count, i__payload=given, o__ready=np.ones(cycles, np.uint64), **held)
    assert came["i__ready"][:count].all()
    there = came["o__valid"].astype(bool)
    return _fields(block.o.payload.shape(), came["o__payload"][there])


def _structs(layout: Layout, fields: Mapping[str, Bits], cycles: int) -> Words:
    """(cycles, 64-bit words) or (cycles,) of structs, zeros behind the last one."""
    words = np.zeros((cycles, -(-layout.size // 64) + 1), np.uint64)
    for name, field in layout:
        word, bit = divmod(field.offset, 64)
        value = fields[name].astype(np.uint64)
        words[: len(value), word] |= value << np.uint64(bit)
        if bit + field.width > 64:
            words[: len(value), word + 1] |= value >> np.uint64(64 - bit)
    return words[:, 0] if layout.size <= 64 else words[:, :-1]


def _fields(layout: Layout, words: Words) -> dict[str, Bits]:
    columns = words[:, None] if words.ndim == 1 else words
    padded = np.pad(columns, [(0, 0), (0, 1)])
    out = {}
    for name, field in layout:
        word, bit = divmod(field.offset, 64)
        value = padded[:, word] >> np.uint64(bit)
        if bit + field.width > 64:
            value |= padded[:, word + 1] << np.uint64(64 - bit)
        out[name] = (value & np.uint64((1 << field.width) - 1)).astype(np.uint32)
    return out


@final
class InProcess(Hardware):
    """The array alone, compiled, without controller and link."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self._array = CompiledArray(parameters)

    def run(self, chain: Sequence[Tile]) -> list[Answer]:
        try:
            done = [self._array.run(tile) for tile in chain]
        except TimeoutError as error:
            raise Unconfirmed(str(error)) from None
        return [Answer(each.product, each.counters) for each in done]

    def fits(self, tile: Tile) -> bool:
        return True  # words go in as there is room

    def top_n(self, values: Bits, n: int, m: int) -> tuple[Bits, NDArray[np.integer]]:
        return top_n(SoreParameters(self.parameters.operand, n, m), values, n, m)

    def updated(
        self, lane: UpdateParameters, fields: Mapping[str, Bits], constants: Mapping[str, int]
    ) -> dict[str, Bits]:
        return updated(lane, fields, constants)

    def figures(self) -> LinkFigures:
        return LinkFigures()

    def close(self) -> None:
        """Nothing to let go of."""
