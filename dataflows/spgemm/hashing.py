"""Multiplying some rows into a hash table with linear probing (Knuth, The Art of Computer Programming 3, 6.4), counting
what it took.

A key never moves, and the slots it passed by stay taken until the window is done. So whoever looks for it later needs
as many probes as it took to claim it. Each key is therefore hashed once, where its first product comes; later products
find it by their column in a dense array (Gustavson 1978). Sums and probes are those of a table all the same.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataflows.spgemm.kernel import CLAIM, ELEMENT, PRODUCT, ROW, SEARCH, STEP
from simulator.fabric.program import Counts
from workloads.kernels import compiled
from workloads.sparse.matrix import Index, Values

MULTIPLICATIVE, LOW_BITS, HIGH_BITS = range(3)
HASHES = ("multiplicative", "low-bits", "high-bits")
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd: Knuth's multiplicative hashing
EMPTY = -1


class Window(NamedTuple):
    """Rows [first, last) of the result, and of each the columns [left, right)."""

    first: int
    last: int
    left: int
    right: int


class Table(NamedTuple):
    """A hash table, and what is known of its keys in the order they were claimed.

    taken: (slots,), whether a slot has a key. claims: (columns,), the claim of a column of the row in work; EMPTY or an
    earlier row's where it has none. Of each claim, (slots,): its column, slot, sum, the products added to it, and the
    probes that each took.
    """

    taken: NDArray[np.bool_]
    claims: Index
    columns: Index
    slots: Index
    sums: Values
    products: Index
    probes: Index

    @classmethod
    def empty(cls, slots: int, columns: int) -> "Table":
        """A table for results of so many columns."""
        return cls(
            taken=np.zeros(slots, dtype=np.bool_),
            claims=np.full(columns, EMPTY, dtype=np.int32),
            columns=np.empty(slots, dtype=np.int32),
            slots=np.empty(slots, dtype=np.int32),
            sums=np.empty(slots),
            products=np.empty(slots, dtype=np.int32),
            probes=np.empty(slots, dtype=np.int32),
        )


@compiled(nogil=True)
def hash_window(
    left: Any, right: Any, window: Any, table: Any, kind: Any, cut: Any, shared: Any, features: Any, sizes: Any
) -> Any:
    """Multiply a window into an empty table. Returns the slots it claimed, or -1 where the table is too small.

    cut: first event and offset of each row, and the event's size. shared: any thread may do any event, so that one
    which goes on in the middle of an element looks it up again. features: (events, len(Feature)), added to; sizes:
    (rows,), the slots each row claimed.
    """
    first_event, offsets, size = cut
    used = 0
    for row in range(window.first, window.last):
        place = row - window.first
        event, room = first_event[place], size - offsets[place]
        features[event, ROW] += 1
        begin = used
        for element in range(left.starts[row], left.starts[row + 1]):
            features[event, ELEMENT] += 1
            inner, factor = left.indices[element], left.values[element]
            first, halvings = _enter(right, right.starts[inner], right.starts[inner + 1], window.left)
            features[event, SEARCH] += halvings
            for other in range(first, right.starts[inner + 1]):
                column = right.indices[other]
                if column >= window.right:
                    break
                if room == 0:
                    event, room = event + 1, size
                    if shared:
                        features[event, ROW] += 1
                        features[event, ELEMENT] += 1
                room -= 1
                claim = table.claims[column]
                if claim < begin:
                    if used == len(table.taken):
                        return -1
                    claim, used = used, used + 1
                    key = place * (window.right - window.left) + column - window.left
                    slot = _slot(key, window, len(table.taken), kind)
                    table.slots[claim], table.probes[claim] = _take(table.taken, slot)
                    table.claims[column], table.columns[claim] = claim, column
                    table.sums[claim], table.products[claim] = 0.0, 0
                    features[event, CLAIM] += 1
                table.sums[claim] += factor * right.values[other]
                table.products[claim] += 1
                features[event, PRODUCT] += 1
                features[event, STEP] += table.probes[claim]
        sizes[place] = used - begin
    return used


@compiled(inner=True)
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


@compiled(inner=True)
def _slot(key: Any, window: Any, slots: Any, kind: Any) -> Any:
    """The slot a key is looked for first."""
    if kind == LOW_BITS:
        return key & (slots - 1)
    if kind == HIGH_BITS:
        space = (window.last - window.first) * (window.right - window.left)
        return np.int64(np.float64(key) * slots / space)
    return np.int64((np.uint64(key) * GOLDEN) >> np.uint64(32)) * slots >> 32


@compiled(inner=True)
def _take(taken: Any, slot: Any) -> Any:
    """Take the first slot from `slot` on that has no key. Returns it, and the probes that took."""
    probes = 1
    while taken[slot]:
        slot = (slot + 1) & (len(taken) - 1)
        probes += 1
    taken[slot] = True
    return slot, probes


@compiled(nogil=True)
def empty_table(table: Any, used: Any, accesses: Any, lengths: Any) -> None:
    """Empty a table of which `used` slots are taken, and add up how often they were accessed.

    accesses: (banks, 2), looks at keys and updates of sums by slot modulo banks: every product looks at all slots from
    the one its key is looked for first. lengths: (LONGEST,), how many products needed so many probes.
    """
    banks = len(accesses)
    for claim in range(used):
        slot, probes, products = table.slots[claim], table.probes[claim], table.products[claim]
        lengths[min(probes, len(lengths)) - 1] += products
        accesses[slot % banks, 1] += products
        for back in range(probes):
            accesses[((slot - back) & (len(table.taken) - 1)) % banks, 0] += products
        table.taken[slot], table.claims[table.columns[claim]] = False, EMPTY


def bank_skew(accesses: Counts, banks: int, split: bool) -> float:
    """Accesses of the busiest bank over the mean's. accesses: (banks, 2), looks and updates by slot modulo banks.

    Keys and sums lie in arrays of their own (`split`), or beside each other: then keys are in even banks.
    """
    slots = np.arange(banks)
    places = np.stack([slots, slots] if split else [2 * slots, 2 * slots + 1], axis=1) % banks
    load = np.bincount(places.ravel(), accesses.ravel())
    return float(load.max() / load.mean()) if load.any() else 1.0
