"""n:m weights as the array takes them: kept values in the order of the reduction, with where they stood."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtl.formats import Bits
from rtl.timing import Reduction


@dataclass(frozen=True)
class Packed:
    """values, positions: (kept, cols); bit patterns, and the element of the reduction each belongs to."""

    values: Bits
    positions: NDArray[np.int64]


@dataclass(frozen=True)
class Group:
    """One group of the reduction: elements start..start + size, and rows first..first + kept of the packed weights."""

    start: int
    size: int
    first: int
    kept: int


def groups_of(work: Reduction) -> list[Group]:
    """The groups of a reduction in order."""
    out: list[Group] = []
    first = 0
    for segment in range(work.segments):
        for at in range(0, work.length, work.m):
            size = min(work.m, work.length - at)
            kept = min(work.n, size)
            out.append(Group(segment * work.length + at, size, first, kept))
            first += kept
    return out


def pack(weights: Bits, mask: NDArray[np.bool_], work: Reduction) -> Packed:
    """Pack (inner, cols) weights under a mask; groups that keep fewer than they may are filled up with zeros.

    Raises ValueError where the mask keeps more than n of a group, or does not fit the reduction.
    """
    if weights.shape != mask.shape or len(weights) != work.segments * work.length:
        raise ValueError(f"weights {weights.shape} and mask {mask.shape} are not those of a reduction of {work}")
    values, positions = [], []
    for group in groups_of(work):
        part = slice(group.start, group.start + group.size)
        kept = mask[part]
        if (kept.sum(axis=0) > group.kept).any():
            raise ValueError(
                f"the mask keeps more than {group.kept} of the {group.size} elements from {group.start} on"
            )
        order = np.sort(np.argsort(~kept, axis=0, kind="stable")[: group.kept], axis=0)
        values.append(np.where(np.take_along_axis(kept, order, 0), np.take_along_axis(weights[part], order, 0), 0))
        positions.append(group.start + order)
    return Packed(np.concatenate(values).astype(weights.dtype), np.concatenate(positions))
