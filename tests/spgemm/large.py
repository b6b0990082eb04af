"""A product too large to keep: multiplied on the fabric into row hashes, and again by scipy, panel by panel."""

import time
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dataflows.spgemm.compiler import multiply
from dataflows.spgemm.options import FabricOptions
from dataflows.spgemm.smash import V3
from simulator.arch.machine import load_machine
from tests.spgemm.hashes import RowHashes, mix
from workloads.files.limits import Limits
from workloads.sparse.matrix import SparseProduct
from workloads.sparse.matrix_market import read_matrix

PANEL = 2**25  # elementary products of scipy's panels, about


@dataclass(frozen=True)
class Compared:
    """Rows that differ, elements of the result, elementary products, cycles, CPU seconds of either."""

    different: int
    stored: int
    multiplies: int
    cycles: int
    ours_seconds: float
    scipy_seconds: float


def compare(matrix: str, *settings: str) -> Compared:
    """Square a matrix both ways, keeping no more than a panel of the result."""
    given = read_matrix(matrix, Limits(side=2**24, elements=2**28))
    product = SparseProduct(given, given)
    sink = RowHashes(given.rows)
    began = time.process_time()
    done = multiply(product, load_machine("piuma", settings).spec, V3, FabricOptions(), sink)
    between = time.process_time()
    hashes, stored, seconds = scipy_hashes(product)
    return Compared(
        different=int((hashes != sink.hashes).sum()),
        stored=sink.stored if sink.stored == stored else -1,
        multiplies=done.tally.multiplies,
        cycles=done.timing.ticks // 64,
        ours_seconds=between - began,
        scipy_seconds=seconds,
    )


def scipy_hashes(product: SparseProduct) -> tuple[np.ndarray, int, float]:
    """Row hashes of scipy's product, its elements, and the CPU seconds of multiplying alone."""
    left, right = product.left.to_scipy(), product.right.to_scipy()
    panels = np.cumsum(product.row_multiplies()) // PANEL
    limits = [0, *(np.flatnonzero(np.diff(panels)) + 1).tolist(), product.left.rows]
    hashes, stored, seconds = np.zeros(product.left.rows, dtype=np.uint64), 0, 0.0
    for first, last in pairwise(limits):
        began = time.process_time()
        panel = left[first:last] @ right
        seconds += time.process_time() - began
        stored += panel.nnz
        mixed = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(mix(panel.indices, panel.data))])
        hashes[first:last] = mixed[panel.indptr[1:]] - mixed[panel.indptr[:-1]]
    return hashes, stored, seconds


if __name__ == "__main__":
    import resource
    import sys

    print(compare(*sys.argv[1:]))
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB at most")
