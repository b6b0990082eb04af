"""Products that are easily got wrong: odd shapes, empty and full rows, duplicates, stored zeros, cancellation."""

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from workloads.sparse.matrix import Matrix, SparseProduct, from_triplets

Random = np.random.Generator


def scattered(rng: Random, rows: int, cols: int, density: float, name: str = "a") -> Matrix:
    """Whole numbers from -2 to 2, zeros among them stored, places drawn with duplicates."""
    count = rng.binomial(rows * cols, density)
    places = rng.integers(0, rows, count), rng.integers(0, cols, count)
    return from_triplets(name, (rows, cols), *places, rng.integers(-2, 3, count).astype(float))


def real(rng: Random, rows: int, cols: int, density: float) -> Matrix:
    found = scattered(rng, rows, cols, density)
    return Matrix("a", rows, cols, found.starts, found.indices, rng.standard_normal(found.nonzeros))


def _with_full_row(rng: Random, rows: int, cols: int, density: float) -> Matrix:
    dense = scattered(rng, rows, cols, density).to_scipy().toarray()
    dense[rng.integers(rows)] = rng.standard_normal(cols)
    return _dense("full row", dense)


def _one_row_has_half(rng: Random, rows: int, cols: int, density: float) -> Matrix:
    dense = scattered(rng, rows, cols, density / 4).to_scipy().toarray()
    dense[rng.integers(rows)] = np.where(rng.random(cols) < 0.9, rng.standard_normal(cols), 0)
    return _dense("half in a row", dense)


def _mostly_empty(rng: Random, rows: int, cols: int, density: float) -> Matrix:
    dense = scattered(rng, rows, cols, density).to_scipy().toarray()
    dense[rng.random(rows) < 0.7] = 0
    dense[:, rng.random(cols) < 0.5] = 0
    return _dense("mostly empty", dense)


def _nothing(_rng: Random, rows: int, cols: int, _density: float) -> Matrix:
    return _dense("nothing", np.zeros((rows, cols)))


def _cancelling(rng: Random, rows: int, cols: int, _density: float) -> Matrix:
    """Rows of +1 and -1, of which many products add up to nothing."""
    return _dense("cancelling", rng.choice(np.array([-1.0, 1.0]), (rows, cols)))


def _dense(name: str, dense: np.ndarray) -> Matrix:
    rows, cols = np.nonzero(dense)
    return from_triplets(name, dense.shape, rows, cols, dense[rows, cols])


MAKERS: tuple[Callable[[Random, int, int, float], Matrix], ...] = (
    scattered,
    real,
    _with_full_row,
    _one_row_has_half,
    _mostly_empty,
    _nothing,
    _cancelling,
)


@st.composite
def products(draw: st.DrawFn, largest: int = 24) -> SparseProduct:
    """Any two of the kinds above, of any fitting sizes; sometimes one times itself."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows, inner, cols = (draw(st.integers(1, largest)) for _ in range(3))
    density = draw(st.sampled_from([0.02, 0.1, 0.4]))
    left = draw(st.sampled_from(MAKERS))(rng, rows, inner, density)
    if rows == inner and draw(st.booleans()):
        return SparseProduct(left, left)
    return SparseProduct(left, draw(st.sampled_from(MAKERS))(rng, inner, cols, density))
