"""The array, and lanes of SORE and WUVE, as compiled RTL in this process: numpy goes in and comes back."""

import ctypes
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
from rtl.fast.program import array_program, source_of_lanes
from rtl.formats import Bits
from rtl.hardware import COUNTERS, Answer, Hardware, LinkFigures, Unconfirmed
from rtl.lanes import SoreParameters, UpdateParameters, ends_of
from rtl.parameters import Parameters
from rtl.run import REASONS, Error, run_bits
from rtl.sore import Sore
from rtl.tiles import Tile
from rtl.verilate import Compiled, Words, built, built_from, compiled, ports_of
from rtl.wuve import Wuve

LATENCY = 256  # cycles in which the last result of a lane has surely come
PATIENCE = 1 << 16  # cycles in which a run's operands come, however many gaps there are
PRIME = 16  # cycles more than the words that fit into a memory, after which it is surely full
INLINE = 36  # up to so many PEs it is faster when the compiler sees all of them at once


@dataclass(frozen=True)
class Ran:
    """What a tile gave: (rows, cols) sums, the counters, and the cycle in which its last sum was taken.

    elapsed: cycles, seen from outside, since the first tile of the stream was handed over.
    """

    product: Bits
    counters: dict[str, int]
    elapsed: int


class Stopped(Exception):
    """The array refused a run, or gave it up; `error` says why."""

    def __init__(self, error: Error, counters: Mapping[str, int]) -> None:
        super().__init__(f"the array stopped at a run: {REASONS.get(error, error.name)}")
        self.error, self.counters = error, counters


class _Side(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("count", "bits", "longest")] + [
        (name, ctypes.c_void_p) for name in ("words", "lengths")
    ]


class CompiledArray:
    """An array in compiled simulation; state lives on from tile to tile."""

    def __init__(self, parameters: Parameters, whole: bool | None = None) -> None:
        """whole: all of it by Verilator, which writes every PE anew; else a PE a lane (`rtl.fast`), as for large arrays
        unless told otherwise."""
        self.parameters = parameters
        if whole is None:
            whole = parameters.rows * parameters.cols <= INLINE
        self._compiled = _build(parameters, whole)
        self._compiled.code.stream.restype = ctypes.c_int64

    def run(self, tile: Tile, gaps: int = 0, seed: int = 1) -> Ran:
        """Run one tile, as `stream` does."""
        return self.stream([tile], gaps, seed)[0]

    def stream(self, tiles: Sequence[Tile], gaps: int = 0, seed: int = 1) -> list[Ran]:
        """Run tiles back to back. gaps: of 256 cycles, so many in which a stream does not go on, by chance from `seed`.

        Raises TimeoutError when sums do not come, Stopped when the array stops with an error; all is forgotten then.
        """
        p = self.parameters
        ends = np.cumsum([tile.results for tile in tiles])
        wanted = int(ends[-1])
        sums = np.zeros((p.cols, max(1, wanted)), np.uint64)
        sides = [
            _side(_joined([tile.west for tile in tiles]), p.rows, p.west_link * p.operand.bits),
            _side(_joined([tile.north for tile in tiles]), p.cols, p.weight_bits),
            _side(_joined([tile.seeds for tile in tiles]), p.cols, p.accumulator.bits),
        ]
        words = max(side.longest for side, *_ in sides)
        prime = PRIME + p.after_reset + min(words, max(p.row_depth, p.column_depth, p.results))
        slow = 4 if gaps == 0 else 64
        limit = prime + 2 * PATIENCE + (words + wanted + sum(tile.cycles for tile in tiles)) * slow
        runs = np.array([[run_bits(t.run) & (1 << 64) - 1, run_bits(t.run) >> 64] for t in tiles], np.uint64)
        times, counted = np.zeros(len(tiles), np.uint64), np.zeros((len(tiles), len(COUNTERS) + 1), np.uint64)
        elapsed = self._compiled.code.stream(
            self._compiled.block,
            *_words(len(tiles)),
            _pointer(runs),
            *(ctypes.byref(side) for side, *_ in sides),
            *_words(wanted),
            *(_pointer(each) for each in (sums, ends.astype(np.uint64), times, counted)),
            *_words(prime, limit, PATIENCE, seed, gaps),
        )
        if elapsed < 0:
            self.abort()
            if elapsed == -3:
                raise Stopped(Error(int(counted[0, -1])), _named(counted[0]))
            raise TimeoutError(f"the array gave {'too few' if elapsed == -1 else 'too many'} sums: {tiles[0].run}")
        return [
            Ran(
                tile.product(sums[:, end - tile.results : end]) if tile.results else np.zeros((0, 0), np.uint32),
                _named(counters),
                int(time),
            )
            for tile, end, counters, time in zip(tiles, ends, counted, times, strict=True)
        ]

    def abort(self) -> None:
        """Forget everything that is under way."""
        self._compiled.run(abort_all=np.arange(1 + self.parameters.after_reset) == 0)


def _named(counters: NDArray[np.uint64]) -> dict[str, int]:
    return dict(zip(COUNTERS, counters.tolist(), strict=False))


def _joined(parts: Sequence[Sequence[Sequence[int]]]) -> list[list[int]]:
    """Streams of tile after tile, one a row or column."""
    some = [part for part in parts if part]
    return [[word for part in some for word in part[number]] for number in range(len(some[0]))] if some else []


def _words(*values: int) -> list[ctypes.c_uint64]:
    return [ctypes.c_uint64(value) for value in values]


def _pointer(values: NDArray[np.generic]) -> ctypes.c_void_p:
    return values.ctypes.data_as(ctypes.c_void_p)


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
            chunk = np.array(each, object) >> 64 * part & (1 << 64) - 1 if size > 1 else np.array(each, np.uint64)
            data[stream, : len(each), part] = chunk
    return _Side(count, bits, longest, data.ctypes.data, lengths.ctypes.data), data, lengths


def _build(p: Parameters, whole: bool) -> Compiled:
    key = f"{p} {fingerprint(p)}"
    extra = harness(p)
    ports = ports_of(array_signature(p).create())

    if whole:
        return built(key, lambda: array_verilog(p), "sparse_array", ports, extra=extra)
    return built_from(f"{key} {source_of_lanes()}", lambda: array_program(p), ports, extra)


def harness(p: Parameters) -> str:
    """C++ that runs streams of tiles through the compiled array."""
    return _ports(p) + (Path(__file__).parent / "streams.cpp").read_text()


def _ports(p: Parameters) -> str:
    """Where the harness finds the ports of every stream."""
    lines = []
    for name, count in (("west", p.rows), ("north", p.cols), ("seeds", p.cols), ("results", p.cols)):
        ports = []
        for number in range(count):
            valid, ready, payload = (f"b->{name}___05F{number}___05F{part}" for part in ("valid", "ready", "payload"))
            ports.append(f"{{&{valid}, &{ready}, &{payload}, sizeof {payload}}}")
        lines.append(f"#define {name.upper()}(b) {{{', '.join(ports)}}}\n")
    return "\n" + "".join(lines)


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
            done = self._array.stream(chain)
        except (TimeoutError, Stopped) as error:
            raise Unconfirmed(str(error)) from None
        return [Answer(each.product, each.counters) for each in done]

    def fits(self, tile: Tile) -> bool:
        return tile.fits

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
