"""Masks of grouped patterns, in numpy: the one function that makes them for shipped captures and golden models.

Ranking is by magnitude; ties go to the lower index, as in the SORE hardware and in the training code.
"""

import numpy as np
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
    moved = np.moveaxis(np.abs(weights), axis, -1)
    length = moved.shape[-1]
    missing = -length % pattern.m
    padded = np.pad(moved, [(0, 0)] * (moved.ndim - 1) + [(0, missing)], constant_values=-1)
    groups = padded.reshape(-1, pattern.m)
    order = np.argsort(-groups, axis=1, kind="stable")[:, : pattern.n]
    mask = np.zeros(groups.shape, dtype=np.bool_)
    np.put_along_axis(mask, order, True, axis=1)
    kept = mask.reshape(*moved.shape[:-1], length + missing)[..., :length]
    return np.ascontiguousarray(np.moveaxis(kept, -1, axis))


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
