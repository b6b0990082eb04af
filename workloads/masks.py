"""Masks of grouped patterns: the one function that makes them, for captures, golden models and training on a CPU.

Ranking is by magnitude, compared as the integers that IEEE 754 makes of magnitudes: the same order, with NaN above
infinity. Ties go to the lower index, as in the SORE hardware.
"""

import numpy as np
from numpy.typing import NDArray

from workloads.kernels import compiled
from workloads.pattern import Pattern

LANES_PAY_FROM, LANES_PAY_TO = (
    8,
    32,
)  # measured: elements behind each other, and a group's size, where counting is faster


def group_mask(weights: NDArray[np.floating], pattern: Pattern, axis: int) -> NDArray[np.bool_]:
    """True where a weight is kept.

    weights: any shape; groups of `pattern.m` consecutive elements lie along `axis`, separately for every other
    index (so, for a convolution's (O, C, kh, kw), for every kernel position). The last group may be shorter.
    Raises ValueError for a pattern without groups.
    """
    if not pattern.is_grouped:
        raise ValueError(f"{pattern} has no groups")
    return largest(weights, pattern.n, pattern.m, axis)


def largest(weights: NDArray[np.generic], n: int, m: int, axis: int) -> NDArray[np.bool_]:
    """True for the n largest magnitudes of every m along `axis`, as in `group_mask`."""
    bits, magnitude = _lined(weights, axis)
    ranked = m <= LANES_PAY_TO and bits.shape[2] >= LANES_PAY_FROM
    mask: NDArray[np.bool_] = (_ranked if ranked else _picked)(bits, magnitude, n, m).reshape(weights.shape)
    return mask


def nonzeros(values: NDArray[np.generic]) -> int:
    """Elements that are not zero, of any shape and number format."""
    bits, magnitude = _lined(values.ravel(order="K"), 0)
    return int(_count(bits.ravel(), magnitude))


def largest_group_count(values: NDArray[np.generic], m: int, axis: int) -> int:
    """The most non-zeros that any group of m along `axis` holds: at most n for a mask that is n:m."""
    return int(_fullest(*_lined(values, axis), m))


def _lined(values: NDArray[np.generic], axis: int) -> tuple[NDArray[np.integer], int]:
    """(bit patterns with `axis` in the middle of three axes; what masks the sign away)."""
    shape = values.shape
    bits = np.ascontiguousarray(values).view(f"i{values.itemsize}")
    lined = bits.reshape(int(np.prod(shape[:axis])), shape[axis], int(np.prod(shape[axis:][1:])))
    return lined, int(np.iinfo(bits.dtype).max)


@compiled(nogil=True)
def _picked(bits: NDArray[np.integer], magnitude: int, n: int, m: int) -> NDArray[np.bool_]:
    """Pick the largest that is left, n times a group."""
    outer, length, inner = bits.shape
    kept = np.zeros(bits.shape, np.bool_)
    group = np.empty(m, np.int64)
    for i in range(outer):
        for start in range(0, length, m):
            size = min(m, length - start)
            for k in range(inner):
                for j in range(size):
                    group[j] = bits[i, start + j, k] & magnitude
                for _ in range(min(n, size)):
                    best = 0
                    for j in range(1, size):
                        if group[j] > group[best]:
                            best = j
                    group[best] = -1
                    kept[i, start + best, k] = True
    return kept


@compiled(nogil=True)
def _ranked(bits: NDArray[np.integer], magnitude: int, n: int, m: int) -> NDArray[np.bool_]:
    """Count for each how many of its group are larger, or equal and before it: the innermost axis fills SIMD lanes."""
    outer, length, inner = bits.shape
    kept = np.empty(bits.shape, np.bool_)
    ahead = np.empty((m, inner), np.uint8)
    for i in range(outer):
        for start in range(0, length, m):
            size = min(m, length - start)
            ahead[:] = 0
            for low in range(size):
                for high in range(low + 1, size):
                    for k in range(inner):
                        wins = np.uint8(bits[i, start + high, k] & magnitude > bits[i, start + low, k] & magnitude)
                        ahead[low, k] += wins
                        ahead[high, k] += np.uint8(1) - wins
            for j in range(size):
                for k in range(inner):
                    kept[i, start + j, k] = ahead[j, k] < n
    return kept


@compiled(nogil=True)
def _count(bits: NDArray[np.integer], magnitude: int) -> int:
    found = 0
    for i in range(bits.size):
        found += (bits[i] & magnitude) != 0
    return found


@compiled(nogil=True)
def _fullest(bits: NDArray[np.integer], magnitude: int, m: int) -> int:
    outer, length, inner = bits.shape
    found, most = np.empty(inner, np.int32), 0
    for i in range(outer):
        for start in range(0, length, m):
            found[:] = 0
            for j in range(start, min(start + m, length)):
                for k in range(inner):  # SIMD lanes
                    found[k] += (bits[i, j, k] & magnitude) != 0
            for k in range(inner):
                most = max(most, found[k])
    return most
