"""Every kernel gives scipy's product and the zeros that scipy drops; with sums in the same order, the same bits."""

import resource
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from dataflows.spgemm.compiler import multiply
from dataflows.spgemm.kernel import Collector, Kernel
from dataflows.spgemm.options import FabricOptions
from simulator.arch.machine import load_machine
from simulator.fabric.outcome import Multiplied
from simulator.machines.piuma import FabricArch
from tests.spgemm.hashes import RowHashes
from tests.spgemm.large import compare, scipy_hashes
from tests.spgemm.products import products, scattered
from workloads.registry import KERNELS, load_entry, names
from workloads.sparse.matrix import Matrix, SparseProduct, from_triplets
from workloads.sparse.matrix_market import read_matrix

PIUMA: FabricArch = load_machine("piuma").spec
SMALL = replace(PIUMA, cores_per_chip=2, pipeline=replace(PIUMA.pipeline, mtps=1, threads_per_mtp=4))
USUAL = FabricOptions()
EVERY = [load_entry(KERNELS, "kernel", name) for name in names(KERNELS)]
IDS = [kernel.name for kernel in EVERY]

options = st.builds(
    FabricOptions,
    hash=st.sampled_from(["multiplicative", "low-bits", "high-bits"]),
    slots=st.sampled_from([0, 2, 16, 128]),
    fill=st.sampled_from([0.5, 0.75, 1.0]),
    window=st.sampled_from(["work", "rows"]),
    spread=st.integers(1, 4),
    deal=st.sampled_from(["rows", "pieces"]),
    token=st.sampled_from([1, 7, 256]),
    event=st.sampled_from([1, 16, 512]),
    dma=st.sampled_from(["table", "operands"]),
)


def multiplied(
    product: SparseProduct, kernel: Kernel, chosen: FabricOptions = USUAL, arch: FabricArch = SMALL
) -> tuple[Matrix, Multiplied]:
    sink = Collector()
    done = multiply(product, arch, kernel, chosen, sink)
    return sink.matrix((product.left.rows, product.right.cols)), done


def reference(product: SparseProduct) -> csr_array:
    """scipy's values at every place that has a product: scipy drops those that come out as zero, and we keep them."""
    ones = (replace(each, values=np.ones(each.nonzeros)).to_scipy() for each in (product.left, product.right))
    found = next(ones) @ next(ones)
    found.sort_indices()
    values = (product.left.to_scipy() @ product.right.to_scipy()).toarray()
    found.data = values[np.repeat(np.arange(product.left.rows), np.diff(found.indptr)), found.indices]
    return found


def assert_same(found: Matrix, wanted: csr_array) -> None:
    assert (found.rows, found.cols) == wanted.shape
    np.testing.assert_array_equal(found.starts, wanted.indptr)
    np.testing.assert_array_equal(found.indices, wanted.indices)
    np.testing.assert_array_equal(found.values.view(np.int64), (wanted.data + 0.0).view(np.int64))


@pytest.mark.parametrize("kernel", EVERY, ids=IDS)
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(products(), options)
def test_every_kernel_equals_scipy(kernel: Kernel, product: SparseProduct, chosen: FabricOptions) -> None:
    found, done = multiplied(product, kernel, chosen)
    assert_same(found, reference(product))
    assert done.tally.multiplies == product.multiplies


@pytest.mark.parametrize("kernel", EVERY, ids=IDS)
def test_one_by_one(kernel: Kernel) -> None:
    for value in (3.0, 0.0):
        one = from_triplets("one", (1, 1), np.array([0]), np.array([0]), np.array([value]))
        found, done = multiplied(SparseProduct(one, one), kernel)
        assert_same(found, reference(SparseProduct(one, one)))
        assert done.tally.multiplies == 1


@pytest.mark.parametrize("kernel", EVERY, ids=IDS)
def test_a_power_law_on_the_whole_machine(kernel: Kernel) -> None:
    matrix = read_matrix("rmat:9:8")
    product = SparseProduct(matrix, matrix)
    found, _ = multiplied(product, kernel, arch=PIUMA)
    assert_same(found, reference(product))


def test_cancellation_and_stored_zeros() -> None:
    """2 - 2 = 0 is stored, and so is 0 times anything: the places are known before the sums are. scipy drops both."""
    left = from_triplets("l", (2, 2), np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([1.0, -1.0, 0.0]))
    right = from_triplets("r", (2, 2), np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([2.0, 5.0, 2.0]))
    for kernel in EVERY:
        found, done = multiplied(SparseProduct(left, right), kernel)
        assert (found.indices.tolist(), found.values.tolist()) == ([0, 1, 0, 1], [0.0, 5.0, 0.0, 0.0])
        assert done.tally.multiplies == 5
    assert (left.to_scipy() @ right.to_scipy()).nnz == 1


@pytest.mark.parametrize("kernel", EVERY, ids=IDS)
def test_a_result_of_nothing_but_zeros_is_written_as_any_other(kernel: Kernel) -> None:
    """64 x 64 zeros, squared: 4,096 elements of two words and 64 pointers of one, 8 bytes a word, by every kernel."""
    rows, cols = np.divmod(np.arange(64 * 64), 64)
    zeros = from_triplets("zeros", (64, 64), rows, cols, np.zeros(64 * 64))
    found, done = multiplied(SparseProduct(zeros, zeros), kernel, arch=PIUMA)
    assert (found.nonzeros, done.tally.stored, done.tally.claims) == (4096, 4096, 4096)
    assert done.timing.traffic["dram.write", "result"] == 64 * 64 * 2 * 8 + 64 * 8 == 66_048


def test_another_order_of_addition_is_seen() -> None:
    """The comparison bit for bit can fail: sums in the opposite order differ on values with many digits."""
    rng = np.random.default_rng(1)
    matrix = scattered(rng, 30, 30, 0.5)
    matrix = Matrix("a", 30, 30, matrix.starts, matrix.indices, rng.standard_normal(matrix.nonzeros))
    wanted = reference(SparseProduct(matrix, matrix))
    reverse = matrix.to_scipy()[:, ::-1]
    reverse.sort_indices()  # otherwise elements keep the order they are stored in
    turned = reverse @ matrix.to_scipy()[::-1]
    turned.sort_indices()
    np.testing.assert_allclose(turned.data, wanted.data, rtol=1e-9, atol=1e-12)
    assert (turned.data != wanted.data).any()


def test_row_hashes_tell_products_apart() -> None:
    matrix = read_matrix("rmat:8:8")
    product = SparseProduct(matrix, matrix)
    sink = RowHashes(matrix.rows)
    multiply(product, SMALL, EVERY[IDS.index("smash-v3")], FabricOptions(slots=64), sink)
    hashes, stored, _ = scipy_hashes(product)
    np.testing.assert_array_equal(sink.hashes, hashes)
    assert sink.stored == stored
    off = Matrix("a", matrix.rows, matrix.cols, matrix.starts, matrix.indices, np.nextafter(matrix.values, 9))
    assert (scipy_hashes(SparseProduct(off, matrix))[0] != hashes).any()


@pytest.mark.slow
@pytest.mark.parametrize("scale", [16, 18])
def test_large_products_by_row_hashes(scale: int) -> None:
    done = compare(f"rmat:{scale}:16")
    assert done.different == 0 and done.stored > 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < 8 * 2**30
