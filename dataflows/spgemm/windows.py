"""Window distribution: which rows share a hash table, by an estimate of their work."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from dataflows.spgemm.hashing import Window
from dataflows.spgemm.options import FabricOptions
from simulator.fabric.program import Counts
from workloads.sparse.matrix import SparseProduct


@dataclass(frozen=True)
class Distribution:
    """The windows in order, the products estimated for each, the most results one may have, and the rows that were
    split by columns.
    """

    windows: list[Window]
    work: Counts
    largest: int
    split_rows: int

    def homes(self, cores: int) -> list[int]:
        """A core for each window: consecutive windows of about equal work."""
        middle = np.cumsum(self.work) - self.work / 2
        total = max(1, int(self.work.sum()))
        return [int(home) for home in np.minimum(cores - 1, middle * cores // total)]


def distribute(product: SparseProduct, capacity: int, cores: int, options: FabricOptions) -> Distribution:
    """Windows whose results surely fit `capacity` slots, and enough of them for all cores.

    A row can have no more results than products, nor than columns. One that may have more than `capacity` is split by
    columns.
    """
    multiplies = product.row_multiplies()
    bounds = np.clip(multiplies, 1, product.right.cols)
    highest = int(bounds[bounds <= capacity].max(initial=1))
    target = min(capacity, max(highest, -(-int(bounds.sum()) // (cores * options.spread))))
    most = max(1, target // highest) if options.window == "rows" else len(bounds)
    limits = _limits(bounds, target, most)
    windows: list[Window] = []
    work: list[int] = []
    for first, last in zip(limits[:-1].tolist(), limits[1:].tolist(), strict=True):
        parts = 1
        if bounds[first] > capacity:
            parts = -(-product.right.cols // capacity)
        step = -(-product.right.cols // parts)
        for left in range(0, product.right.cols, step):
            windows.append(Window(first, last, left, min(left + step, product.right.cols)))
            work.append(int(multiplies[first:last].sum()) // parts)
    split = int((bounds > capacity).sum())
    return Distribution(windows, np.array(work, dtype=np.int64), capacity if split else target, split)


@njit(cache=True, nogil=True)
def _limits(bounds: Any, capacity: Any, most: Any) -> Any:
    """First rows of the windows, and the end of the last."""
    limits = np.zeros(len(bounds) + 1, np.int64)
    used, first, load = 1, 0, 0
    for row in range(len(bounds)):
        if row > first and (load + bounds[row] > capacity or row - first >= most):
            limits[used] = row
            used += 1
            first, load = row, 0
        load += bounds[row]
    limits[used] = len(bounds)
    return limits[: used + 1]
