"""Sparse products out of a training step: n:m weights times the zeros that were measured in it.

A step is far too large to be multiplied whole, so that each of its products is a block: real sampled tensors where the
workload has them, otherwise values with the measured share of zeros at random places. Zeros that a stride inserts are
never in it. The block stands for `times` as many elementary products.
"""

from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from workloads.masks import group_mask
from workloads.op import MatrixOp, Operand, Phase
from workloads.pattern import DENSE, Pattern
from workloads.samples import LayerSample, read_samples
from workloads.sparse.matrix import Matrix, SparseProduct, from_triplets
from workloads.workload import Workload

Dense = NDArray[np.float64]
BLOCK_PRODUCTS = 2**20  # elementary products of a block, about
FEWEST_ROWS, LARGEST_COLS = 128, 512


@dataclass(frozen=True)
class Block:
    """A part of an op's product, which it stands `times` for. `sampled`: its operands are real tensors."""

    product: SparseProduct
    times: float
    sampled: bool

    @property
    def multiplies(self) -> int:
        """Elementary products of the whole op."""
        return round(self.product.multiplies * self.times)


def traced_block(workload: Workload, op: MatrixOp, products: int = BLOCK_PRODUCTS) -> Block:
    """The block that stands for an op."""
    sample = _sample(workload, op)
    if sample is not None and (pair := _sampled_pair(sample, op)) is not None:
        left, right = (_matrix(name, each) for name, each in zip((op.left.tensor, op.right.tensor), pair, strict=True))
        sizes = (left.rows, left.cols, right.cols)
    else:
        sizes = _sizes(op, products)
        rng = np.random.default_rng(crc32(f"{op.layer}.{op.phase}".encode()))
        left = _random(rng, op.left, (sizes[0], sizes[1]), 1, op.segments)
        right = _random(rng, op.right, (sizes[1], sizes[2]), 0, op.segments)
    dense = sizes[0] * sizes[1] * sizes[2]
    return Block(SparseProduct(left, right), op.macs / dense, sample is not None and pair is not None)


def _sizes(op: MatrixOp, products: int) -> tuple[int, int, int]:
    """Rows, inner, cols of a block with about so many elementary products.

    The reduction is kept whole while enough rows stay for many threads; it is cut by whole groups of every kernel
    position.
    """
    cols = min(op.cols, LARGEST_COLS)
    each = cols * _density(op.left) * _density(op.right)
    rows = min(op.rows, max(FEWEST_ROWS, round(products / max(1.0, each * op.inner))))
    group = max(1, op.left.pattern.m, op.right.pattern.m)
    segment = op.inner // op.segments
    most = round(products / max(1.0, each * rows)) // op.segments
    if most < segment:
        segment = max(min(segment, group), most // group * group)
    return rows, segment * op.segments, cols


def _density(operand: Operand) -> float:
    if operand.zeros is not None:
        return 1 - operand.zeros
    return operand.pattern.kept(4096) / 4096


def _random(rng: np.random.Generator, operand: Operand, shape: tuple[int, int], axis: int, segments: int) -> Matrix:
    """Values with the operand's pattern along the reduction (`axis`), and its measured zeros."""
    values = rng.standard_normal(shape)
    pattern = operand.pattern
    if pattern.is_grouped:
        values *= _grouped(values, pattern, axis, segments)
    elif not pattern.is_dense:
        values[rng.random(shape) >= pattern.kept(shape[axis]) / shape[axis]] = 0
    missing = 0.0 if operand.zeros is None else operand.zeros
    have = 1 - np.count_nonzero(values) / values.size
    if missing > have:
        values[rng.random(shape) < (missing - have) / (1 - have)] = 0
    return _matrix(operand.tensor, values)


def _grouped(values: Dense, pattern: Pattern, axis: int, segments: int) -> NDArray[np.bool_]:
    """The mask of a pattern whose groups stay inside a kernel position."""
    moved = np.moveaxis(values, axis, -1)
    split = moved.reshape(*moved.shape[:-1], segments, -1)
    mask = group_mask(split, pattern, split.ndim - 1)
    return np.moveaxis(mask.reshape(moved.shape), -1, axis)


def _matrix(name: str, values: Dense) -> Matrix:
    rows, cols = np.nonzero(values)
    shape = (values.shape[0], values.shape[1])
    return from_triplets(name, shape, rows, cols, values[rows, cols].astype(np.float64))


def _sample(workload: Workload, op: MatrixOp) -> LayerSample | None:
    return read_samples(workload.tensors, workload.samples).layers.get(op.layer) if workload.tensors else None


def _sampled_pair(sample: LayerSample, op: MatrixOp) -> tuple[Dense, Dense] | None:
    """Left and right operand as (rows, inner) and (inner, cols); None where the op is no plain one of its layer."""
    geometry = op.geometry
    if geometry is None:
        return None if sample.weight.ndim != 2 else _linear_pair(sample, op)
    plain = geometry.stride == geometry.dilation == (1, 1) and geometry.groups == 1 and not geometry.transposed
    if not plain or sample.input.ndim != 4:
        return None
    pad = geometry.padding
    if op.phase is Phase.FF:
        weight = _masked(sample.weight, op.right.pattern, 1)
        return _columns(sample.input, geometry.kernel, pad), weight.transpose(2, 3, 1, 0).reshape(-1, weight.shape[0])
    if op.phase is Phase.BP:
        weight = _masked(sample.weight, op.right.pattern, 0)[:, :, ::-1, ::-1]
        back = (geometry.kernel[0] - 1 - pad[0], geometry.kernel[1] - 1 - pad[1])
        given = _masked(sample.grad_output, op.left.pattern, 1)
        return _columns(given, geometry.kernel, back), weight.transpose(2, 3, 0, 1).reshape(-1, weight.shape[1])
    given = _masked(sample.grad_output, op.right.pattern, 1)
    right = given.transpose(0, 2, 3, 1).reshape(-1, given.shape[1])
    left = _columns(sample.input, geometry.kernel, pad).T
    return (left, right) if left.shape[1] == right.shape[0] else None


def _linear_pair(sample: LayerSample, op: MatrixOp) -> tuple[Dense, Dense]:
    given, gradient = sample.input.astype(np.float64), sample.grad_output.astype(np.float64)
    if op.phase is Phase.FF:
        return given, _masked(sample.weight, op.right.pattern, 1).T
    if op.phase is Phase.BP:
        return gradient, _masked(sample.weight, op.right.pattern, 0)
    return given.T, gradient


def _masked(values: NDArray[np.floating], pattern: Pattern, axis: int) -> Dense:
    plain = values.astype(np.float64)
    return plain if pattern == DENSE or not pattern.is_grouped else plain * group_mask(plain, pattern, axis)


def _columns(images: NDArray[np.floating], kernel: tuple[int, ...], padding: tuple[int, ...]) -> Dense:
    """Every output position's inputs as a row, kernel position by kernel position: (images x positions, taps x c)."""
    around = ((0, 0), (0, 0), (padding[0], padding[0]), (padding[1], padding[1]))
    padded = np.pad(images.astype(np.float64), around)
    views = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(2, 3))  # (b, c, y, x, kh, kw)
    positions = views.shape[0] * views.shape[2] * views.shape[3]
    return views.transpose(0, 2, 3, 4, 5, 1).reshape(positions, -1)
