"""Products on the fabric beside scipy's own: `make bench`. Read the ratio of `smash-v3` to `scipy`; the aim is 4."""

from collections.abc import Callable
from typing import Any

import pytest

from dataflows.spgemm.compiler import multiply
from dataflows.spgemm.kernel import Nowhere
from dataflows.spgemm.options import FabricOptions
from simulator.arch.machine import load_machine
from workloads.registry import KERNELS, load_entry
from workloads.sparse.matrix import SparseProduct
from workloads.sparse.matrix_market import read_matrix

pytestmark = pytest.mark.bench
Benchmark = Callable[..., Any]
SCALES = (10, 12, 14)


def squared(scale: int) -> SparseProduct:
    matrix = read_matrix(f"rmat:{scale}:16")
    return SparseProduct(matrix, matrix)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", ["smash-v1", "smash-v2", "smash-v3", "row-wise", "heap-merge"])
def test_product_of_rmat_by(benchmark: Any, name: str, scale: int) -> None:
    product, kernel, arch = squared(scale), load_entry(KERNELS, "kernel", name), load_machine("piuma").spec

    def run() -> None:
        multiply(product, arch, kernel, FabricOptions(), Nowhere())

    multiply(squared(6), arch, kernel, FabricOptions(), Nowhere())  # compiled code is loaded
    benchmark.pedantic(run, rounds=3)


@pytest.mark.parametrize("scale", SCALES)
def test_product_of_rmat_by_scipy(benchmark: Any, scale: int) -> None:
    matrix = squared(scale).left.to_scipy()
    benchmark.pedantic(lambda: matrix @ matrix, rounds=3)
