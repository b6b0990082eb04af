"""Multiplying some rows into a hash table with linear probing (Knuth, The Art of Computer Programming 3, 6.4), counting
what it took.
"""

from typing import Any, NamedTuple

import numpy as np

from dataflows.spgemm.kernel import CLAIM, ELEMENT, PRODUCT, ROW, SEARCH, STEP
from simulator.fabric.program import Counts
from workloads.kernels import compiled
from workloads.sparse.matrix import Values

MULTIPLICATIVE, LOW_BITS, HIGH_BITS = range(3)
HASHES = ("multiplicative", "low-bits", "high-bits")
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd: Knuth's multiplicative hashing
EMPTY = -1
TAG, LOOKS, UPDATES = range(3)


class Window(NamedTuple):
    """Rows [first, last) of the result, and of each the columns [left, right)."""

    first: int
    last: int
    left: int
    right: int


class Table(NamedTuple):
    """A hash table. slots: (slots, 3), the key of each, how often it was looked at and added to; sums: (slots,)."""

    slots: Counts
    sums: Values
    claimed: Counts

    @classmethod
    def empty(cls, slots: int) -> "Table":
        table = np.zeros((slots, 3), dtype=np.int64)
        table[:, TAG] = EMPTY
        return cls(table, np.zeros(slots), np.zeros(slots, dtype=np.int64))


@compiled(nogil=True)
def hash_window(
    left: Any, right: Any, window: Any, table: Any, kind: Any, cut: Any, shared: Any, features: Any, lengths: Any
) -> Any:
    """Multiply a window into an empty table. Returns the slots it claimed, or -1 where the table is too small.

    cut: first event and offset of each row, and the event's size. shared: any thread may do any event, so that one
    which goes on in the middle of an element looks it up again. features: (events, len(Feature)), added to; lengths:
    (LONGEST,), how many products needed so many probes.
    """
    first_event, offsets, size = cut
    used = 0
    for row in range(window.first, window.last):
        place = row - window.first
        event, room = first_event[place], size - offsets[place]
        features[event, ROW] += 1
        for element in range(left.starts[row], left.starts[row + 1]):
            features[event, ELEMENT] += 1
            inner, factor = left.indices[element], left.values[element]
            begin, halvings = _enter(right, right.starts[inner], right.starts[inner + 1], window.left)
            features[event, SEARCH] += halvings
            for other in range(begin, right.starts[inner + 1]):
                if right.indices[other] >= window.right:
                    break
                if room == 0:
                    event, room = event + 1, size
                    if shared:
                        features[event, ROW] += 1
                        features[event, ELEMENT] += 1
                room -= 1
                key = place * (window.right - window.left) + right.indices[other] - window.left
                slot, probes = _find(table.slots, key, _slot(key, window, len(table.slots), kind))
                if probes == 0:
                    return -1
                if table.slots[slot, TAG] == EMPTY:
                    table.slots[slot, TAG] = key
                    table.claimed[used] = slot
                    used += 1
                    features[event, CLAIM] += 1
                table.sums[slot] += factor * right.values[other]
                table.slots[slot, UPDATES] += 1
                features[event, PRODUCT] += 1
                features[event, STEP] += probes
                lengths[min(probes, len(lengths)) - 1] += 1
    return used


@compiled(nogil=True)
def _enter(right: Any, begin: Any, end: Any, column: Any) -> Any:
    """Where a row's columns from `column` on begin, and the halvings it took to find that."""
    halvings = 0
    while column and begin < end:
        middle = (begin + end) // 2
        halvings += 1
        if right.indices[middle] < column:
            begin = middle + 1
        else:
            end = middle
    return begin, halvings


@compiled(nogil=True)
def _slot(key: Any, window: Any, slots: Any, kind: Any) -> Any:
    """The slot a key is looked for first."""
    if kind == LOW_BITS:
        return key & (slots - 1)
    if kind == HIGH_BITS:
        space = (window.last - window.first) * (window.right - window.left)
        return np.int64(np.float64(key) * slots / space)
    return np.int64((np.uint64(key) * GOLDEN) >> np.uint64(32)) * slots >> 32


@compiled(nogil=True)
def _find(slots: Any, key: Any, slot: Any) -> Any:
    """The slot of a key, or the empty one it may take, and the probes that took; 0 where the table is full."""
    probes = 1
    while slots[slot, TAG] != key and slots[slot, TAG] != EMPTY:
        slots[slot, LOOKS] += 1
        slot = (slot + 1) & (len(slots) - 1)
        probes += 1
        if probes > len(slots):
            return slot, 0
    slots[slot, LOOKS] += 1
    return slot, probes


@compiled(nogil=True)
def gather(window: Any, table: Any, used: Any, accesses: Any) -> Any:
    """The window's rows out of the table, which is empty again afterwards.

    accesses: (banks, 2), looks and updates are added to it by slot modulo banks. Returns sizes (rows,), columns,
    values, and the most updates any slot got.
    """
    slots, sums, claimed = table
    width = window.right - window.left
    sizes = np.zeros(window.last - window.first, np.int64)
    hottest = 0
    for number in range(used):
        sizes[slots[claimed[number], TAG] // width] += 1
    places = np.zeros(len(sizes) + 1, np.int64)
    places[1:] = np.cumsum(sizes)
    columns, values = np.empty(used, np.int32), np.empty(used, np.float64)
    for number in range(used):
        slot = claimed[number]
        row = slots[slot, TAG] // width
        columns[places[row]] = slots[slot, TAG] % width + window.left
        values[places[row]] = sums[slot]
        places[row] += 1
        hottest = max(hottest, slots[slot, UPDATES])
        accesses[slot % len(accesses), 0] += slots[slot, LOOKS]
        accesses[slot % len(accesses), 1] += slots[slot, UPDATES]
        slots[slot, TAG], slots[slot, LOOKS], slots[slot, UPDATES] = EMPTY, 0, 0
        sums[slot] = 0.0
    return sizes, columns, values, hottest


def bank_skew(accesses: Counts, banks: int, split: bool) -> float:
    """Accesses of the busiest bank over the mean's. accesses: (banks, 2), looks and updates by slot modulo banks.

    Keys and sums lie in arrays of their own (`split`), or beside each other: then keys are in even banks.
    """
    load = np.zeros(banks, dtype=np.int64)
    slots = np.arange(banks)
    for array in (0, 1):
        np.add.at(load, (slots if split else 2 * slots + array) % banks, accesses[:, array])
    return float(load.max() / load.mean()) if load.any() else 1.0
