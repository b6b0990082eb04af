"""The product of the matrices a user names, as a workload."""

from collections.abc import Sequence

from workloads.errors import UserError
from workloads.sparse.matrix import SparseProduct
from workloads.sparse.matrix_market import read_matrix
from workloads.workload import Capture, Mode, Workload


def from_matrices(texts: Sequence[str]) -> Workload:
    """The product of one matrix with itself, or of two. Raises UserError for more, and for sizes that do not fit."""
    if len(texts) > 2:
        raise UserError(f"--matrix: {len(texts)} are given; give one to be squared, or two")
    matrices = [read_matrix(text) for text in texts]
    return workload_of(SparseProduct(matrices[0], matrices[-1]))


def workload_of(product: SparseProduct) -> Workload:
    """A product that is part of no step."""
    capture = Capture(source="--matrix", shapes="of the matrices")
    return Workload(product.name, "none", "as stored", 1, 1, Mode.INFERENCE, (), 0, 0, (), capture, products=(product,))
