"""Golden model of the core's memories: what bound commands leave in the banks, and what they send to DRAM.

It knows addresses and words alone, as hardware does, and nothing of plans. When a command happens is its caller's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from rtl.core.bound import NOTHING, BoundLoad, BoundRun, BoundSort, BoundStore, BoundTurn, CoreMemory
from rtl.core.walk import Walk
from rtl.formats import Bits, Packed, operand_format
from rtl.golden.products import sparse_product
from rtl.golden.units import narrow, packed
from rtl.run import Run

WEIGHT, INDEX = 0, 1


@dataclass(frozen=True)
class CoreBanks:
    """How many banks there are, and how deep. word: operands in a word. index_bits: beside a weight. lanes: of SORE.

    Depths are in words (west, raw), weights and sums.
    """

    rows: int
    cols: int
    word: int
    form: str
    index_bits: int
    lanes: int
    west: int
    north: int
    output: int
    raw: int

    def weights(self, dense: bool) -> int:
        """Weights in a word of 64 bits."""
        return 64 // (16 + (0 if dense else self.index_bits))


@dataclass
class BankMachine:
    """The memories. Words of DRAM are (words, values): operands, sums, or weights with their indices behind them.

    Not frozen: it is a machine. What was never written is a NaN, so that whoever reads it is found out.
    """

    shape: CoreBanks
    west: Bits = field(init=False)  # [address, bank, operand]
    north: NDArray[np.uint32] = field(init=False)  # [address, bank, weight or index]
    raw: Bits = field(init=False)  # [address, operand]
    output: Bits = field(init=False)  # [address, bank]
    held: Bits = field(init=False)  # the sums in the PEs

    def __post_init__(self) -> None:
        shape, nan = self.shape, operand_format(self.shape.form).nan  # type: ignore[union-attr]  # a float
        self.west = np.full((shape.west, shape.rows, shape.word), nan, np.uint16)
        self.north = np.full((shape.north, shape.cols, 2), nan, np.uint32)
        self.north[:, :, INDEX] = 0
        self.raw = np.full((shape.raw, shape.word), nan, np.uint16)
        self.output = np.full((shape.output, shape.cols), 0x7FC00000, np.uint32)
        self.held = np.zeros((0, 0), np.uint32)

    def load(self, load: BoundLoad, words: NDArray[np.integer]) -> None:
        """Words from DRAM into a memory."""
        places, shape = _places(load.walks), self.shape
        if load.memory is CoreMemory.RAW:
            self.raw[places[:, 0], : words.shape[1]] = words
        elif load.memory is CoreMemory.WEST:
            self.west[places[:, 0], places[:, 1]] = words
        elif load.memory is CoreMemory.OUTPUT:
            self._neighbours(places, words, self.output)
        else:
            lanes = shape.weights(load.dense)
            index = np.repeat(places[:, 2:], lanes, axis=1) if load.dense else words[:, lanes:]
            self._neighbours(places, words[:, :lanes], self.north[:, :, WEIGHT])
            self._neighbours(places, index, self.north[:, :, INDEX])

    def _neighbours(self, places: NDArray[np.int64], values: NDArray[np.integer], memory: NDArray[np.integer]) -> None:
        """Values of a word go to neighbouring banks, those beyond the last one nowhere."""
        banks = places[:, 1:2] + np.arange(values.shape[1])
        there = banks < memory.shape[1]
        addresses = np.broadcast_to(places[:, :1], banks.shape)
        memory[addresses[there], banks[there]] = values[there]

    def store(self, store: BoundStore) -> NDArray[np.integer]:
        """(words, values): sums, rounded where they are narrow; beyond the last bank zeros."""
        places, count = _places(store.walks), 4 if store.narrow else 2
        padded = np.pad(self.output, ((0, 0), (0, count)))
        sums = padded[places[:, :1], places[:, 1:2] + np.arange(count)]
        return narrow(sums, operand_format(self.shape.form)) if store.narrow else sums  # type: ignore[arg-type]

    def turn(self, turn: BoundTurn) -> None:
        """Blocks of words through the transposer."""
        places, side = _places(turn.walks), self.shape.word
        blocks = self.raw[turn.raw : turn.raw + turn.words].reshape(-1, side, side)
        self.west[places[:, 0], places[:, 1]] = blocks.transpose(0, 2, 1).reshape(-1, side)

    def sort(self, sort: BoundSort) -> None:
        """Columns of groups through the SORE lanes."""
        places, lanes, form = _places(sort.walks), self.shape.lanes, operand_format(self.shape.form)
        at, place = sort.raw, 0
        for size in chain.from_iterable([size] * (count * sort.blocks) for count, size in sort.groups):
            group = self.raw[at : at + size]
            for lane in range(lanes):
                values, index, _ = packed(group[:, lane].copy(), form, min(sort.keep, size), size)
                if sort.pad:
                    missing = (0, sort.keep - len(values))
                    values = np.pad(values, missing, constant_values=NOTHING)
                    index = np.pad(index, missing, constant_values=size)
                rows = slice(place, place + len(values))
                both = np.stack([values, index], axis=1)
                column = places[rows, 1] + lane
                there = column < self.shape.cols
                self.north[places[rows, 0][there], column[there]] = both[there]
            at, place = at + size, place + len(values)

    def work(self, work: BoundRun) -> None:
        """A run of the array."""
        if work.run.stationary_weights:
            self._fold(work)
        elif work.run.drain:
            self._drain(work)
        else:
            self._stream(work)

    def _stream(self, work: BoundRun) -> None:
        run, shape = work.run, self.shape
        turns = run.interleave + 1
        along, across = (turns, 1) if run.share_weights else (1, turns)
        words, kept = _groups(run)
        starts = np.cumsum(words) - words
        west = self.west[work.west : work.west + along * sum(words)]
        parts = []
        for start, size in zip(starts, words, strict=True):  # [turn][word] of every group
            block = west[along * start : along * (start + size)].reshape(along, size, shape.rows, shape.word)
            parts.append(block.transpose(0, 2, 1, 3).reshape(along * shape.rows, -1))
        north = self.north[work.north : work.north + across * sum(kept)].reshape(-1, across * shape.cols, 2)
        first = np.repeat(starts * shape.word, kept)[:, None]
        right = Packed(north[:, :, WEIGHT].astype(np.uint16), first + north[:, :, INDEX])
        seeds = None if run.fresh else self.held
        self.held = sparse_product(np.concatenate(parts, axis=1), right, operand_format(shape.form), seeds)

    def _drain(self, work: BoundRun) -> None:
        turns = self.held.shape[1] // self.shape.cols
        for turn in range(turns):
            rows = slice(work.out + turn * work.rows, work.out + (turn + 1) * work.rows)
            columns = slice(turn * self.shape.cols, (turn + 1) * self.shape.cols)
            self.output[rows] = self.held[: work.rows, columns]

    def _fold(self, work: BoundRun) -> None:
        run, shape = work.run, self.shape
        positions, words, n = run.positions + 1, run.words + 1, run.kept + 1
        west = self.west[work.west : work.west + positions * words].reshape(positions, words, shape.rows, shape.word)
        left = west.transpose(0, 2, 1, 3)[:, : work.used].reshape(positions, -1)
        north = self.north[work.north : work.north + work.used * n]
        first = np.repeat(np.arange(work.used) * words * shape.word, n)[:, None]
        right = Packed(north[:, :, WEIGHT].astype(np.uint16), first + north[:, :, INDEX])
        seeds = self.output[work.seed : work.seed + positions] if run.seed else None
        self.output[work.out : work.out + positions] = sparse_product(left, right, operand_format(shape.form), seeds)


def _groups(run: Run) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Words and kept weights of every group of an output-stationary run."""
    tail = ([run.tail_words + 1], [run.tail_kept]) if run.tail_kept else ([], [])
    words, kept = (
        np.array((([full] * run.groups) + more) * (run.segments + 1), np.int64)
        for full, more in zip((run.words + 1, run.kept + 1), tail, strict=True)
    )
    return words, kept


def _places(walks: Sequence[Walk]) -> NDArray[np.int64]:
    return np.concatenate([walk.places() for walk in walks])
