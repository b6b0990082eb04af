"""A tile: the run, the words of every row and column, the cycles, the results."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rtl.formats import Bits
from rtl.parameters import Parameters
from rtl.run import Run
from rtl.timing import Reduction
from workloads.errors import UserError

Words = NDArray[np.object_]  # of Python integers: words are wider than 64 bits


@dataclass(frozen=True)
class Tile:
    """What one run takes and gives.

    west: words of every row; north, seeds: of every column; results: sums that leave every column. rows, cols: of
    the product, those of a smaller one than the array filled up with zeros. cycles: from its start to the next tile's
    at the earliest, as `rtl.timing` says. compute: multiply-accumulates of one PE.
    """

    parameters: Parameters
    run: Run
    west: list[list[int]]
    north: list[list[int]]
    seeds: list[list[int]]
    results: int
    cycles: int
    compute: int
    rows: int
    cols: int
    where: tuple[NDArray[np.int64], NDArray[np.int64]] = field(repr=False)  # row and column of result [column, number]

    @property
    def fits(self) -> bool:
        """Whether the memories of the array hold all that it takes and gives."""
        p, sums = self.parameters, max([self.results, *map(len, self.seeds)])
        words, weights = len(self.west[0]), len(self.north[0])
        return words <= p.row_depth and weights <= p.column_depth and sums <= p.results

    def product(self, results: NDArray[np.integer]) -> Bits:
        """(rows, cols) bit patterns from (columns of the array, results) as they came out."""
        rows, cols = self.where
        out = np.zeros((max(self.rows, rows.max() + 1), max(self.cols, cols.max() + 1)), np.uint32)
        out[rows, cols] = results
        return out[: self.rows, : self.cols]


def check_pattern(p: Parameters, work: Reduction, interleave: int = 1) -> None:
    """Raises UserError when a reduction cannot run on the array."""
    if work.m > p.m or work.n > p.weights:
        allowed = f"groups of at most {p.m} that keep at most {p.weights}"
        raise UserError(f"{work.n}:{work.m} cannot run on an array of {p.title}, which takes {allowed}")
    if interleave > p.accumulators:
        raise UserError(f"an interleave of {interleave} needs more than the {p.accumulators} accumulators of a PE")


def check_fits(tile: Tile) -> Tile:
    """The tile. Raises UserError for one that takes or gives more than the memories at the array's edges hold."""
    if tile.fits:
        return tile
    p, sums = tile.parameters, max([tile.results, *map(len, tile.seeds)])
    takes = f"{len(tile.west[0])} words a row, {len(tile.north[0])} weights and {sums} sums a column"
    holds = f"{p.row_depth}, {p.column_depth} and {p.results}"
    raise UserError(f"a run of {takes} is longer than the memories of {p.title}, which hold {holds}; cut the tile")


def filled(values: NDArray[np.integer], rows: int, cols: int) -> NDArray[np.integer]:
    """The values in so many rows and columns, zeros beyond them. Raises UserError when there are more."""
    if values.shape[0] > rows or values.shape[1] > cols:
        raise UserError(f"a tile of {values.shape[0]} x {values.shape[1]} is larger than {rows} x {cols}")
    out = np.zeros((rows, cols), values.dtype)
    out[: values.shape[0], : values.shape[1]] = values
    return out


def words_of(p: Parameters, operands: Bits, words: int) -> Words:
    """(groups, words): groups of operands cut into words as wide as the link, the first operand lowest."""
    count, size = operands.shape
    lanes = np.zeros((count, words * p.west_link), object)
    lanes[:, :size] = operands.astype(object)
    lanes = lanes.reshape(count, words, p.west_link) << (np.arange(p.west_link).astype(object) * p.operand.bits)
    return lanes.sum(axis=2)
