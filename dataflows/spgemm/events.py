"""Cutting rows into events: pieces of a thread's work of about one size."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from simulator.fabric.program import Counts


class Cut(NamedTuple):
    """Where each row's work lies in events of one size.

    The work of row i begins in event `first[i]`, `offset[i]` into it, and runs through the following ones. threads:
    (events,), who does each.
    """

    first: Counts
    offset: Counts
    threads: NDArray[np.int32]


def deal(work: Counts, threads: int, size: int) -> Cut:
    """Rows dealt out one by one: thread t does rows t, t + threads, ..., and its work is cut every `size`."""
    return Cut(*_deal(work, threads, size))


def tokens(work: Counts, size: int) -> Cut:
    """All work in one line, cut every `size`, whoever does it."""
    return Cut(*_deal(work, 1, size))


@njit(cache=True, nogil=True)
def _deal(work: Any, threads: Any, size: Any) -> Any:
    first, offset = np.zeros(len(work), np.int64), np.zeros(len(work), np.int64)
    owners = np.zeros(work.sum() // size + threads + 1, np.int32)
    event = 0
    for thread in range(min(threads, len(work))):
        done = 0
        for row in range(thread, len(work), threads):
            first[row], offset[row] = event + done // size, done % size
            done += work[row]
        used = max(1, -(-done // size))
        owners[event : event + used] = thread
        event += used
    return first, offset, owners[:event]


def spread(column: Counts, cut: Cut, amounts: Counts, size: int) -> None:
    """Add what each row has of something to the events its work lies in. column: (events,)."""
    _spread(column, cut.first, cut.offset, amounts, size)


@njit(cache=True, nogil=True)
def _spread(column: Any, first: Any, offset: Any, amounts: Any, size: Any) -> None:
    for row in range(len(amounts)):
        event, room, left = first[row], size - offset[row], amounts[row]
        while left > 0:
            step = min(left, room)
            column[event] += step
            event, room, left = event + 1, size, left - step
