"""Nested loops that visit given places in their order."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rtl.core.walk import LOOPS, Stride, Walk

Places = NDArray[np.int64]


def walks_through(places: Places) -> tuple[Walk, ...]:
    """Few walks that visit (words, 2) places, address and bank, one after the other.

    The longest row of equal steps is a loop, as many rows alike that are equally far apart are another one around it,
    and so on; what is left is a walk of its own.
    """
    return tuple(_walks(places))


def _walks(places: Places) -> Iterator[Walk]:
    at = 0
    while at < len(places):
        rest, size, loops = places[at:], 1, list[Stride]()
        while len(loops) < LOOPS - 1:
            turns = _turns(rest, size)
            if turns == 1:
                break
            address, bank = (int(step) for step in rest[size] - rest[0])
            loops.insert(0, Stride(turns, address, bank))
            size *= turns
        yield Walk(int(rest[0, 0]), int(rest[0, 1]), tuple(loops) or (Stride(1),))
        at += size


def _turns(places: Places, size: int) -> int:
    """How often the first `size` places come again, each time as far on as the second time."""
    blocks = len(places) // size
    if blocks < 2:
        return 1
    shaped = places[: blocks * size].reshape(blocks, size, 2)
    step = shaped[1, 0] - shaped[0, 0]
    if (step < 0).any():  # hardware's loops lead upwards
        return 1
    expected = shaped[0] + np.arange(blocks)[:, None, None] * step
    wrong = np.flatnonzero((shaped != expected).any(axis=(1, 2)))
    return int(wrong[0]) if len(wrong) else blocks
