"""Masks of grouped patterns: the one function that makes them, for captures, golden models and training on a CPU.

Ranking is by magnitude, compared as the integers that IEEE 754 makes of magnitudes: the same order, with NaN above
infinity. Ties go to the lower index, as in the SORE hardware.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workloads.pattern import Pattern


def group_mask(weights: NDArray[np.floating], pattern: Pattern, axis: int) -> NDArray[np.bool_]:
    """True where a weight is kept.

    weights: any shape; groups of `pattern.m` consecutive elements lie along `axis`, separately for every other
    index (so, for a convolution's (O, C, kh, kw), for every kernel position). The last group may be shorter.
    Raises ValueError for a pattern without groups.
    """
    if not pattern.is_grouped:
        raise ValueError(f"{pattern} has no groups")
    return largest(weights, pattern.n, pattern.m, axis)


def largest(weights: NDArray[np.floating], n: int, m: int, axis: int) -> NDArray[np.bool_]:
    """True for the n largest magnitudes of every m along `axis`, as in `group_mask`."""
    shape = weights.shape
    before, after = shape[:axis], shape[axis:][1:]
    bits = np.ascontiguousarray(weights).view(f"i{weights.itemsize}")
    lined = bits.reshape(int(np.prod(before)), shape[axis], int(np.prod(after)))
    mask: NDArray[np.bool_] = _largest(lined, np.iinfo(bits.dtype).max, n, m).reshape(shape)
    return mask


@njit(cache=True, nogil=True)
def _largest(bits: NDArray[np.integer], magnitude: int, n: int, m: int) -> NDArray[np.bool_]:
    """True for the n largest of every m along the middle axis; `magnitude` masks the sign away."""
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


def pack_mask(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A mask as bits, eight a byte, in C order; the last byte is filled with zeros."""
    return np.packbits(mask.reshape(-1))


def unpack_mask(bits: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The mask of the given shape that `pack_mask` packed."""
    size = int(np.prod(shape))
    return np.unpackbits(bits, count=size).astype(np.bool_).reshape(shape)


def largest_group_count(mask: NDArray[np.bool_], m: int, axis: int) -> int:
    """The most kept elements that any group of m along `axis` holds: at most n for a mask that is n:m."""
    moved = np.moveaxis(mask, axis, -1)
    padded = np.pad(moved, [(0, 0)] * (moved.ndim - 1) + [(0, -moved.shape[-1] % m)])
    return int(padded.reshape(-1, m).sum(axis=1).max(initial=0))
