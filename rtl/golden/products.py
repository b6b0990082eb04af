"""Golden model of the array's values: one output's products in the order of the reduction, each sum rounded.

Both dataflows add in that order: output stationary along the reduction, weight stationary down the rows of a fold and
on in the next fold, which starts from the sums of the last one.
"""

import numpy as np
from numpy.typing import NDArray

from rtl.formats import Bits, Format, IntFormat, Packed, accumulator_of, decode, encode
from workloads.kernels import compiled


def sparse_product(left: Bits, right: Packed, form: Format, seeds: Bits | None = None) -> Bits:
    """Bit patterns of (seeds +) left @ right in the accumulator's format.

    left: (rows, inner) bit patterns in `form`. right: packed weights. seeds: (rows, cols) in the accumulator's format,
    positive zero unless given. Only kept weights are multiplied; NaNs come out as the canonical one.
    """
    total = accumulator_of(form)
    start = np.zeros((len(left), right.values.shape[1]), np.uint32) if seeds is None else seeds
    sums = np.ascontiguousarray(decode(start, total)).copy()
    kernel = _integers if isinstance(form, IntFormat) else _floats
    kernel(np.ascontiguousarray(decode(left, form)), decode(right.values, form), right.positions, sums)
    return encode(sums, total)


@compiled()
def _floats(
    left: NDArray[np.float32], values: NDArray[np.float32], positions: NDArray[np.int64], sums: NDArray[np.float32]
) -> None:
    for row in range(sums.shape[0]):
        for kept in range(values.shape[0]):
            for col in range(sums.shape[1]):
                product = np.float32(left[row, positions[kept, col]] * values[kept, col])
                sums[row, col] = np.float32(sums[row, col] + product)


@compiled()
def _integers(
    left: NDArray[np.int8], values: NDArray[np.int8], positions: NDArray[np.int64], sums: NDArray[np.int32]
) -> None:
    for row in range(sums.shape[0]):
        for kept in range(values.shape[0]):
            for col in range(sums.shape[1]):
                product = np.int64(left[row, positions[kept, col]]) * np.int64(values[kept, col])
                sums[row, col] = np.int32((np.int64(sums[row, col]) + product) & 0xFFFFFFFF)
