"""Operands of your own as words for the array, and the product that must come out. Needs numpy, and manifest.json.

array = Array.load(".")                      # the folder with manifest.json
left = array.encode(np.ones((5, 64)))        # (rows, inner) bit patterns
weights = array.encode(np.ones((64, 3)))     # (inner, columns)
mask = array.largest(weights)                # the n largest of every m
for run in array.runs(left, weights, mask):  # what to send, in this order
    ...                                      # run.word, run.west, run.north, run.rows, run.columns
array.product(left, weights, mask)           # bit patterns of the sums
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Grid = Any  # a numpy array


@dataclass(frozen=True)
class Run:
    """One run of the array, output stationary.

    word: the run, 128 bits. west: (array's rows, words), north: (array's columns, weights), of Python integers. rows,
    columns: of the product, in the order in which sums leave: sum `number` of column c is at rows[number], columns[c].
    -1 is a place beyond the product. Without `drains` nothing leaves, and the next run adds to these sums. cycles: from
    its start to the next run's.
    """

    word: int
    west: list[list[int]]
    north: list[list[int]]
    rows: list[int]
    columns: list[int]
    drains: bool
    cycles: int


class Array:
    """An exported array. rows, columns: PEs. n, m: the pattern. Other names are those of manifest.json."""

    def __init__(self, manifest: dict[str, Any]) -> None:
        at = manifest["parameters"]
        self.fields = manifest["run"]
        self.format: str = at["format"]
        self.rows, self.columns, self.n, self.m = at["rows"], at["cols"], at["n"], at["m"]
        self.link, self.accumulators = at["west_link"], at["accumulators"]
        self.adder, self.multiplier = at["adder_latency"], at["multiplier_latency"]
        self.row_depth, self.column_depth = at["row_depth"], at["column_depth"]
        self.shortest: int = manifest["cycles"]["shortest"]
        self.input: int = manifest["cycles"]["input"]
        self.bits = 8 if self.format == "int8" else 16

    @classmethod
    def load(cls, folder: str | Path) -> "Array":
        return cls(json.loads((Path(folder) / "manifest.json").read_text()))

    def encode(self, values: Grid) -> Grid:
        """Bit patterns of numbers, floats rounded to the nearest, ties to even.

        Raises ValueError for numbers beyond the format.
        """
        wide = np.asarray(values, np.float64)
        most = {"int8": 127.5, "fp16": 65520, "bf16": 2.0**128 - 2.0**119}[self.format]  # and more rounds beyond it
        beyond = (wide >= most) | (wide <= (-128.5 if self.format == "int8" else -most))
        if beyond.any():
            raise ValueError(f"{wide[beyond].flat[0]:g} is beyond {self.format}")
        if self.format == "int8":
            return np.rint(wide).astype(np.int8).view(np.uint8)
        if self.format == "fp16":
            return np.asarray(values).astype(np.float16).view(np.uint16)
        bits = np.asarray(values).astype(np.float32).view(np.uint32)
        return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)

    def decode(self, bits: Grid) -> Grid:
        """Numbers of the operands' bit patterns."""
        if self.format == "int8":
            return bits.astype(np.uint8).view(np.int8)
        if self.format == "fp16":
            return bits.astype(np.uint16).view(np.float16)
        return (bits.astype(np.uint32) << 16).view(np.float32)

    def sums(self, bits: Grid) -> Grid:
        """Numbers of the sums' bit patterns: FP32, or INT32 for int8."""
        return np.asarray(bits).astype(np.uint32).view(np.int32 if self.format == "int8" else np.float32)

    def largest(self, weights: Grid) -> Grid:
        """(inner, columns) which weights are kept: the n of largest magnitude in every m of a column."""
        size = np.abs(self.decode(weights).astype(np.float64))
        mask = np.zeros(weights.shape, bool)
        for start in range(0, len(weights), self.m):
            order = np.argsort(-size[start : start + self.m], axis=0, kind="stable")[: self.n]
            np.put_along_axis(mask[start : start + self.m], order, True, axis=0)
        return mask

    def product(self, left: Grid, weights: Grid, mask: Grid) -> Grid:
        """(rows, columns) bit patterns of the sums, added in the order in which the array adds."""
        wide = np.int32 if self.format == "int8" else np.float32
        a, b = self.decode(left).astype(wide), self.decode(weights).astype(wide)
        out = np.zeros((len(a), b.shape[1]), wide)
        with np.errstate(all="ignore"):
            for element in range(len(b)):
                added = out + a[:, element, None] * b[element]
                out = np.where(mask[element], added, out).astype(wide)
        return out.view(np.uint32)

    def runs(self, left: Grid, weights: Grid, mask: Grid) -> Iterator[Run]:
        """The runs that make the product: blocks of rows and columns, each in pieces that the memories hold.

        Raises ValueError for operands that do not fit each other, and where the mask keeps another number than n of
        every m, or min(n, rest) of a shorter group.
        """
        if left.ndim != 2 or weights.ndim != 2 or left.shape[1] != len(weights):
            raise ValueError(f"{left.shape} by {weights.shape} is no product: (rows, inner) by (inner, columns)")
        kept = [min(self.n, len(part)) for part in _groups(mask, self.m)]
        for part, wanted in zip(_groups(mask, self.m), kept, strict=True):
            if (part.sum(axis=0) != wanted).any():
                raise ValueError(f"every group of {self.m} weights of a column must keep {self.n}")
        for top in range(0, len(left), self.rows * self.accumulators):
            block = left[top : top + self.rows * self.accumulators]
            turns = -(-len(block) // self.rows)
            words = turns * -(-self.m // self.link)  # of a group, in a row
            longest = min(self.row_depth // words, self.column_depth // self.n) * self.m
            for first in range(0, weights.shape[1], self.columns):
                part = slice(first, first + self.columns)
                for start in range(0, len(weights), longest):
                    piece = slice(start, start + longest)
                    ends = start + longest >= len(weights)
                    yield self._run(
                        block[:, piece], weights[piece, part], mask[piece, part], turns, start == 0, ends, top, first
                    )

    def _run(
        self, left: Grid, weights: Grid, mask: Grid, turns: int, begins: bool, ends: bool, top: int, first: int
    ) -> Run:
        """PE (r, c) makes the outputs r, r + rows, r + 2 rows ... of column c in turn, with the same weights."""
        full, tail = divmod(len(weights), self.m)
        west: list[list[int]] = [[] for _ in range(self.rows)]
        north: list[list[int]] = [[] for _ in range(self.columns)]
        for group in _groups(np.arange(len(weights)), self.m):
            for row in range(self.rows):
                for turn in range(turns):  # group after group, in each the outputs of a PE one after the other
                    at = turn * self.rows + row
                    values = left[at, group].tolist() if at < len(left) else [0] * len(group)
                    for word in range(0, len(values), self.link):
                        part = values[word : word + self.link]
                        west[row].append(sum(each << place * self.bits for place, each in enumerate(part)))
            for column in range(self.columns):
                if column < weights.shape[1]:
                    places = np.flatnonzero(mask[group, column]).tolist()
                    north[column] += [int(weights[group[place], column]) | place << self.bits for place in places]
                else:
                    north[column] += [0] * min(self.n, len(group))
        fields = {
            "share_weights": 1,
            "fresh": int(begins),
            "drain": int(ends),
            "interleave": turns - 1,
            "kept": self.n - 1,
            "words": -(-self.m // self.link) - 1,
            "tail_kept": min(self.n, tail),
            "tail_words": max(1, -(-tail // self.link)) - 1,
            "groups": full,
            "row_words": len(west[0]) - 1,
            "column_weights": len(north[0]) - 1,
        }
        rows = [turn * self.rows + row for turn in reversed(range(turns)) for row in reversed(range(self.rows))]
        return Run(
            sum(fields.get(each["name"], 0) << each["lowest"] for each in self.fields),
            west,
            north,
            [top + row if row < len(left) else -1 for row in rows],
            [first + column if column < weights.shape[1] else -1 for column in range(self.columns)],
            ends,
            self._cycles(full, tail, turns, ends),
        )

    def _cycles(self, full: int, tail: int, turns: int, drains: bool) -> int:
        """README.md, "How long a run takes"."""
        cycles = 0
        for number, size in ((full, self.m), (1 if tail else 0, tail)):
            kept = min(self.n, size)
            cycles += number * max(kept * max(turns, self.adder, 1), -(-size // self.link) * turns)
        if drains:
            cycles += self.rows - 1 + self.columns - 1 + self.input + max(self.adder, 1) - 1 + self.rows * turns
        return max(cycles, self.shortest)


def _groups(values: Grid, m: int) -> list[Grid]:
    return [values[start : start + m] for start in range(0, len(values), m)]
