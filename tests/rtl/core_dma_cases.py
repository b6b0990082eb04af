"""Random commands for the DMA engine, and what they must do."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtl.core.storing import stored, width
from rtl.core.transfers import DmaShape, Transfer
from rtl.core.walk import Stride, Walk, WalkShape
from rtl.formats import FP16, FloatFormat

SHAPE = DmaShape(FP16, WalkShape(12, 4, 10), WalkShape(10, 4, 10), outstanding=8)
COLUMNS, DEPTH = 8, 1 << SHAPE.sums.address_bits
BASE, WORDS = 0x9000_0000, 1 << 14  # of DRAM: the addresses' highest bits count, too


@dataclass(frozen=True)
class Order:
    """A command, its walks, when the host may begin it, and when the sums of a store are announced."""

    transfer: Transfer
    walks: tuple[Walk, ...]
    earliest: int
    narrows: bool = False
    ready: int = 0


def _random_walk(rng: np.random.Generator, shape: WalkShape, banks: int, beats: int) -> Walk:
    """A walk of up to so many beats that stays within the banks; now and then a long one."""
    while True:
        turns = [int(rng.integers(1, 7)) for _ in range(int(rng.integers(1, 6)))]
        turns[0] = min(beats, 700) if rng.random() < 0.1 else turns[0]
        loops = tuple(Stride(turn, int(rng.integers(0, 9)), int(rng.integers(0, 3))) for turn in turns)
        walk = Walk(int(rng.integers(100)), int(rng.integers(banks)), loops)
        places = walk.places()
        if walk.beats <= beats and places[:, 1].max() < banks and places[:, 0].max() >> shape.address_bits == 0:
            return walk


def random_order(rng: np.random.Generator, most: int) -> Order:
    """Addresses often lie shortly before a boundary of bursts."""
    store, narrows = bool(rng.random() < 0.4), bool(rng.random() < 0.5)
    shape, banks = (SHAPE.sums, COLUMNS - width(narrows) + 1) if store else (SHAPE.places, 16)
    walks = tuple(_random_walk(rng, shape, banks, most // 3) for _ in range(int(rng.integers(1, 4))))
    beats = sum(walk.beats for walk in walks)
    at = int(rng.integers(WORDS - beats))
    if rng.random() < 0.5:
        at = max(0, min(WORDS - beats - 1, (at | 255) - int(rng.integers(4))))
    memory, per, tag = (int(rng.integers(size)) for size in (3, 4, 16))
    return Order(Transfer(store, BASE + 8 * at, beats, memory, per, tag), walks, 0, narrows)


def random_sums(rng: np.random.Generator) -> NDArray[np.uint32]:
    """FP32 patterns: some of everything, and where rounding is decided."""
    sums = rng.integers(0, 1 << 32, (COLUMNS, DEPTH), dtype=np.uint32)
    cases = _rounding_cases(rng, sums.size // 2)
    sums.ravel()[: len(cases)] = cases
    return rng.permutation(sums.ravel()).reshape(sums.shape)


def _rounding_cases(rng: np.random.Generator, count: int) -> NDArray[np.uint32]:
    """Of FP16: values, and what lies halfway to the next one, or a little beside. For BF16 others are random enough."""
    exact = rng.integers(0, 1 << 16, count, dtype=np.uint16).view(np.float16).astype(np.float32).view(np.uint32)
    return exact + rng.choice([0, 0x1000, 0xFFF, 0x1001], count).astype(np.uint32)


def wanted_writes(
    orders: Sequence[Order], sums: NDArray[np.uint32], words: NDArray[np.uint64], form: FloatFormat
) -> NDArray[np.uint64]:
    """Rows of the write port without their cycles; `words` become what they are after all commands."""
    rows = []
    for order in orders:
        transfer = order.transfer
        there = slice((transfer.address - BASE) // 8, (transfer.address - BASE) // 8 + transfer.beats)
        if transfer.store:
            words[there] = stored(sums, order.walks, order.narrows, form)
            continue
        places = np.concatenate([walk.places() for walk in order.walks])
        of = np.full((transfer.beats, 2), (transfer.memory, transfer.per))
        rows.append(np.c_[of.astype(np.uint64), places.astype(np.uint64), words[there]])
    return np.concatenate(rows)
