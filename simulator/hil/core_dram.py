"""The DRAM of a training on the core, and beside it that of the golden step: what the host writes goes into both."""

from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from rtl.formats import Bits
from workloads.errors import UserError

Indices = NDArray[np.int64]
Lines = NDArray[np.uint64]
ALL = np.uint64((1 << 64) - 1)


class Words(NamedTuple):
    """Where the words of a tensor lie in DRAM, and (words, values) what each holds: rows and columns of a matrix,
    padding where a row is negative."""

    at: Indices
    rows: Indices
    cols: Indices

    @property
    def kind(self) -> type[np.uint16] | type[np.uint32]:
        """Of a value."""
        return np.uint16 if self.rows.shape[1] == 4 else np.uint32

    def of(self, matrix: Bits, padding: int = 0) -> Lines:
        """The words of a matrix."""
        found = np.where(self.rows >= 0, matrix[self.rows.clip(0), self.cols], padding)
        return joined(found.astype(self.kind))

    @property
    def read(self) -> Lines:
        """The bits of each word that hold a value."""
        return joined(np.where(self.rows >= 0, np.iinfo(self.kind).max, 0).astype(self.kind))

    def matrix(self, words: Lines, shape: tuple[int, int]) -> Bits:
        """The matrix that lies in words of the whole DRAM."""
        found, there = np.zeros(shape, np.uint32), self.rows >= 0
        values = words[self.at].view(self.kind).reshape(self.rows.shape)
        found[self.rows[there], self.cols[there]] = values[there]
        return found


@final
class StepDram:
    """Not frozen: it is a memory. words: 64-bit words of each of the two. compared: those that were expected
    of an op and looked at."""

    def __init__(self, words: int) -> None:
        self.hardware, self.golden = np.zeros(words, np.uint64), np.zeros(words, np.uint64)
        self._read = np.full(words, ALL)  # bits that anybody reads
        self.compared = 0

    def put(self, at: Indices, words: Lines) -> None:
        """The host writes words."""
        self.hardware[at] = self.golden[at] = words

    def expect(self, at: Indices, words: Lines, read: Lines | np.uint64 = ALL) -> None:
        """The golden step writes words, of which only some bits are read by anybody."""
        self.golden[at], self._read[at] = words, read
        self.compared += int(np.count_nonzero(self._read[at]))

    def check(self, name: str) -> None:
        """Raises UserError for the first word that is not the golden step's, with the op that was carried out."""
        wrong = np.flatnonzero((self.hardware ^ self.golden) & self._read)
        if len(wrong):
            at = int(wrong[0])
            raise UserError(
                f"core: after {name} {len(wrong):,} words of DRAM differ from the golden step's; the first, at "
                f"{8 * at:#x}, is {int(self.hardware[at]):#018x} and should be {int(self.golden[at]):#018x}"
            )


def joined(values: NDArray[np.generic]) -> Lines:
    """(words, values) as words, the first value lowest."""
    return np.ascontiguousarray(values).view(np.uint64)[:, 0]
