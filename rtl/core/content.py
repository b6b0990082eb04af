"""Words of DRAM from the operands of a product: the host's half of a transfer."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtl.core.bound import NOTHING, Content
from rtl.formats import Bits, Packed


@dataclass(frozen=True)
class Matrices:
    """Operands of one product. left: (rows, inner), right: (inner, cols), bit patterns; packed: what is kept of right.

    starts: for every kept weight, where its group begins.
    """

    left: Bits
    right: Bits
    packed: Packed
    starts: NDArray[np.int64]


def words_of(content: Content, product: Matrices, dense: bool = False) -> NDArray[np.integer]:
    """(words, values) of a load: operands, or weights and behind them, unless `dense`, their indices."""
    rows, cols = content.rows, content.cols
    there = rows >= 0
    if content.tensor != "packed":
        source = product.left if content.tensor == "left" else product.right
        return np.where(there, source[rows.clip(0), cols], 0).astype(np.uint16)
    values = np.where(there, product.packed.values[rows.clip(0), cols], NOTHING).astype(np.uint32)
    if dense:
        return values
    index = product.packed.positions[rows.clip(0), cols] - product.starts[rows.clip(0)]
    return np.concatenate([values, np.where(there, index, -1 - rows).astype(np.uint32)], axis=1)
