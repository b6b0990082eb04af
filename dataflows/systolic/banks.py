"""Room in the banks of the on-chip memories, which hold whole words: a bank a row (west) or a column (north, output).

Planner and hardware share these sizes. Output stationary, row r of a block lies in bank r mod R, group after group; a
group begins a new word of the row's link. Weight stationary, group g of a fold lies in bank g, position after position.
Weights lie in the bank of their column, each with its index beside it, R x n of a fold whether there are as many or
not. Sums lie in the bank of their column.

Example: 5 rows of 12 operands in groups of 8 on 4 rows, links of 4 operands: 2 turns x 4 banks x 3 words of 4 operands.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import NamedTuple

from rtl.timing import Array


class Shape(NamedTuple):
    """Distinct elements of a block: `lines` across the banks, `length` of each along the reduction.

    `is_shared`: the lines are elements of an image that several rows of the product look at, not those rows themselves.
    """

    lines: int
    length: int
    is_shared: bool


@dataclass(frozen=True)
class Banks:
    """The banks of a machine: rows and columns of the array, and operands in a word of the west memory."""

    rows: int
    cols: int
    word: int

    @classmethod
    def of(cls, array: Array) -> "Banks":
        """A link of less than an operand a cycle, and one that is never too narrow, have words of one operand."""
        return cls(array.rows, array.cols, _word(array.west_link))

    def streamed_rows(self, shape: Shape, segments: int, m: int) -> int:
        """Operands that a block takes in the west memory, output stationary; `segments` of each line are apart."""
        words = line_words(1 if shape.is_shared else segments, shape.length, m, self.word)
        return _whole(shape.lines, self.rows) * words * self.word

    def streamed_positions(self, shape: Shape, groups: int, m: int) -> int:
        """Operands that a block of positions takes in the west memory, weight stationary; `groups` a position.

        An image lies there once, its groups in whatever banks: conflicts between them are not modelled.
        """
        if shape.is_shared:
            return shape.lines * line_words(1, shape.length, m, self.word) * self.word
        return shape.lines * _whole(groups, self.rows) * -(-m // self.word) * self.word

    def weights(self, cols: int, kept: int) -> int:
        """Weights that columns with `kept` of them each take in the north memory, output stationary."""
        return _whole(cols, self.cols) * kept

    def folded_weights(self, cols: int, groups: int, n: int) -> int:
        """The same, weight stationary: whole folds."""
        return _whole(cols, self.cols) * _whole(groups, self.rows) * n

    def sums(self, rows: int, cols: int) -> int:
        """Sums that a tile takes in the output memory."""
        return rows * _whole(cols, self.cols)


def _word(link: Fraction | None) -> int:
    return 1 if link is None else max(1, ceil(link))


def _whole(count: int, size: int) -> int:
    return -(-count // size) * size


@lru_cache(maxsize=4096)
def line_words(segments: int, length: int, m: int, word: int) -> int:
    """Words of one line: `length` operands in all, in segments and these in groups of m, each group from a new word."""
    groups, tail = divmod(length // segments, m)
    return segments * (groups * -(-m // word) + -(-tail // word))
