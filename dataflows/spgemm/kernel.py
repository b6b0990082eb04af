"""What a kernel is, what it counts while it multiplies, and where its results go."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from dataflows.spgemm.hashing import LONGEST, Piece
from dataflows.spgemm.options import FabricOptions
from dataflows.spgemm.steps import Feature, Recipe
from simulator.fabric.program import Counts, Stage
from simulator.machines.piuma import FabricArch
from workloads.errors import UserError
from workloads.sparse.matrix import Matrix, SparseProduct, from_triplets


class Sink(Protocol):
    """Takes finished pieces of the result, in any order; a row may come in several."""

    def put(self, piece: Piece) -> None: ...


@dataclass
class Tally:
    """What a kernel did with the data. `lengths`: products by number of probes; `occupancy`: shares of table slots
    taken, a window each; `split_rows` had more results than a table has room for.
    """

    multiplies: int = 0
    steps: int = 0
    claims: int = 0
    stored: int = 0
    windows: int = 0
    split_rows: int = 0
    lengths: Counts = field(default_factory=lambda: np.zeros(LONGEST, dtype=np.int64))
    occupancy: list[float] = field(default_factory=list)

    def note(self, features: Counts, occupancy: float | None = None) -> None:
        """Add what the events of a window did, and how full its table was."""
        totals = features.sum(axis=0)
        self.multiplies += int(totals[Feature.PRODUCT])
        self.steps += int(totals[Feature.STEP])
        self.claims += int(totals[Feature.CLAIM])
        self.windows += 1
        if occupancy is not None:
            self.occupancy.append(occupancy)


@dataclass(frozen=True)
class Task:
    """A product to be multiplied on a machine."""

    product: SparseProduct
    arch: FabricArch
    options: FabricOptions
    tally: Tally
    sink: Sink

    def finish(self, piece: Piece) -> None:
        """Hand over finished rows. Raises UserError where the result outgrows the fabric's memory."""
        self.tally.stored += len(piece.indices)
        need = stored_bytes(self.arch, self.product.left, self.product.right)
        need += self.tally.stored * (self.arch.data.value_bytes + self.arch.data.index_bytes)
        if need > self.arch.memory_bytes:
            raise too_large(self.arch, self.product.name, "operands and the result so far take", need)
        self.sink.put(piece)


class Kernel(ABC):
    """A way to multiply. `name` is what it is registered as; `recipes` are its steps' costs by phase."""

    name: str

    @abstractmethod
    def recipes(self, arch: FabricArch, options: FabricOptions) -> dict[str, Recipe]:
        """What each step takes, by phase."""

    @abstractmethod
    def stages(self, task: Task) -> Sequence[Stage]:
        """The product as the fabric's program; the arithmetic is done when units are made."""


def stored_bytes(arch: FabricArch, *matrices: Matrix) -> int:
    """Bytes of matrices in memory, one that is used twice counted once."""
    data = arch.data
    each = {id(matrix): matrix for matrix in matrices}.values()
    return sum(m.nonzeros * (data.value_bytes + data.index_bytes) + (m.rows + 1) * data.pointer_bytes for m in each)


def too_large(arch: FabricArch, name: str, what: str, need: int) -> UserError:
    return UserError(
        f"{name}: {what} {need / 2**30:.1f} GiB, and the fabric's memory holds {arch.memory_bytes / 2**30:.1f} GiB "
        f"(dram.capacity_gib_per_chip x chips); take a smaller matrix or more chips"
    )


class Collector:
    """Keeps the whole result."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []

    def put(self, piece: Piece) -> None:
        self.pieces.append(piece)

    def matrix(self, shape: tuple[int, int]) -> Matrix:
        """The result as a matrix, its columns sorted."""
        rows = [np.repeat(np.arange(p.first, p.first + len(p.sizes)), p.sizes) for p in self.pieces]
        if not rows:
            rows = [np.zeros(0, dtype=np.int64)]
        indices = [p.indices for p in self.pieces] or [np.zeros(0, dtype=np.int32)]
        values = [p.values for p in self.pieces] or [np.zeros(0)]
        return from_triplets("result", shape, np.concatenate(rows), np.concatenate(indices), np.concatenate(values))


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
