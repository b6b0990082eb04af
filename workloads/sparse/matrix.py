"""A sparse matrix in compressed rows, and the product of two."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from workloads.errors import UserError

Whole = NDArray[np.int64]
Index = NDArray[np.int32]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Matrix:
    """Compressed sparse rows (Gustavson 1978): columns ascend in every row, none twice; stored zeros are kept.

    starts: (rows + 1,), where each row begins in `indices` and `values`, both (nonzeros,).
    """

    name: str
    rows: int
    cols: int
    starts: Whole
    indices: Index
    values: Values

    @property
    def nonzeros(self) -> int:
        """Stored elements, zeros among them."""
        return len(self.indices)

    @property
    def density(self) -> float:
        return self.nonzeros / max(1, self.rows * self.cols)

    def row_sizes(self) -> Whole:
        """Stored elements of each row: (rows,)."""
        return np.diff(self.starts)

    def transposed(self) -> "Matrix":
        """The same matrix by columns: rows of the result are columns of this one."""
        return from_scipy(f"{self.name}^T", self.to_scipy().T.tocsr())

    def to_scipy(self) -> csr_array:
        return csr_array((self.values, self.indices, self.starts), shape=(self.rows, self.cols))


def from_scipy(name: str, matrix: csr_array) -> Matrix:
    """The matrix with its columns sorted and its duplicates added up; the given one is left as it is."""
    csr = csr_array(matrix, dtype=np.float64, copy=True)
    csr.sum_duplicates()
    indices, starts = csr.indices.astype(np.int32, copy=False), csr.indptr.astype(np.int64, copy=False)
    return Matrix(name, csr.shape[0], csr.shape[1], starts, indices, csr.data)


def from_triplets(name: str, shape: tuple[int, int], rows: Whole, cols: Whole, values: Values) -> Matrix:
    """The matrix that holds these elements; those at one place are added up."""
    return from_scipy(name, coo_array((values, (rows, cols)), shape=shape).tocsr())


@dataclass(frozen=True)
class SparseProduct:
    """left times right, `rows x inner` by `inner x cols`. Raises UserError where the inner sizes differ.

    `multiplies` is the number of elementary products: each stored element of `left` meets a row of `right`.
    """

    left: Matrix
    right: Matrix

    def __post_init__(self) -> None:
        if self.left.cols != self.right.rows:
            raise UserError(
                f"{self.left.name} ({self.left.rows} x {self.left.cols}) cannot be multiplied by {self.right.name} "
                f"({self.right.rows} x {self.right.cols}): it has {self.left.cols} columns, and the other "
                f"{self.right.rows} rows; the two must be equal"
            )

    def row_multiplies(self) -> Whole:
        """Elementary products of each row of the result: (rows,)."""
        sizes = np.concatenate([[0], np.cumsum(self.right.row_sizes()[self.left.indices])])
        return np.asarray(np.diff(sizes[self.left.starts]))

    @property
    def multiplies(self) -> int:
        return int(self.right.row_sizes()[self.left.indices].sum())

    @property
    def name(self) -> str:
        if self.left is self.right:
            return f"{self.left.name} squared"
        return f"{self.left.name} x {self.right.name}"
