"""A sink that keeps a hash of every row, for results too large to keep."""

import numpy as np

from dataflows.spgemm.kernel import Piece


class RowHashes:
    """Keeps a hash of every row: equal for equal columns and values bit for bit, in any order. hashes: (rows,)."""

    def __init__(self, rows: int) -> None:
        self.hashes = np.zeros(rows, dtype=np.uint64)
        self.stored = 0

    def put(self, piece: Piece) -> None:
        self.stored += len(piece.indices)
        if len(piece.indices):
            rows = np.repeat(np.arange(len(piece.sizes)), piece.sizes)
            mixed = mix(piece.indices, piece.values)
            starts = np.flatnonzero(np.diff(rows, prepend=-1))
            np.add.at(self.hashes, piece.first + rows[starts], np.add.reduceat(mixed, starts))


def mix(indices: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A 64-bit hash of each (column, value): the finaliser of splitmix64 (Steele, Lea and Flood 2014)."""
    word = indices.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) ^ (values + 0.0).view(np.uint64)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(word ^ (word >> np.uint64(31)))
