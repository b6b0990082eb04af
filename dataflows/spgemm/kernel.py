"""What a kernel is, what its steps cost, what it counts while it multiplies, and where its results go.

Every kernel counts the same kinds of steps in its data (`Feature`); a recipe says what one of each takes, instructions
and words of memory, counted from the loop as one would write it. No compiler for the fabric is public, so the numbers
of instructions are assumed; they are in the run card as `kernel.*`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple, Protocol

import numpy as np

from dataflows.spgemm.options import FabricOptions
from simulator.fabric.program import WORD_BYTES, Counts, Instruction, Stage, Traffic
from simulator.machines.piuma import DataSpec, FabricArch
from workloads.errors import UserError
from workloads.sparse.matrix import Index, Matrix, SparseProduct, Values, Whole, from_triplets

LONGEST = 64  # probe lengths from here on share a count


class Feature(IntEnum):
    """What kernels count; the columns of an event's features."""

    ROW = 0  # a row of the left operand begun
    ELEMENT = 1  # an element of it begun: a row of the right operand looked up
    PRODUCT = 2  # an elementary product
    STEP = 3  # a probe, a comparison of a heap, a merge or an intersection
    CLAIM = 4  # a new element of the result: stored, whatever its sum
    SEARCH = 5  # a halving, where a row of the right operand is entered in its middle
    PAIR = 6  # a row of the left operand met with a column of the right one
    BROUGHT = 7  # an element of the right operand read ahead, for several products


ROW, ELEMENT, PRODUCT, STEP, CLAIM, SEARCH, PAIR, BROUGHT = range(len(Feature))  # plain numbers for numba


@dataclass(frozen=True)
class Step:
    """Instructions of one step. `reads` and `writes` are words of memory by tensor."""

    integer: int = 0
    float: int = 0
    scratchpad: int = 0
    atomic: int = 0
    remote_atomic: int = 0
    reads: Mapping[str, int] = field(default_factory=dict)
    writes: Mapping[str, int] = field(default_factory=dict)

    def instructions(self) -> list[int]:
        """By class, in the order of `Instruction`."""
        amounts = {
            Instruction.INTEGER: self.integer,
            Instruction.FLOAT: self.float,
            Instruction.LOAD: sum(self.reads.values()),
            Instruction.STORE: sum(self.writes.values()),
            Instruction.SCRATCHPAD: self.scratchpad,
            Instruction.ATOMIC: self.atomic,
            Instruction.REMOTE_ATOMIC: self.remote_atomic,
        }
        return [amounts[each] for each in Instruction]


Recipe = Mapping[Feature, Step]


@dataclass(frozen=True)
class Costs:
    """A recipe as tables. instructions: (len(Feature), len(Instruction)); words: of memory, (len(Feature),) each, by
    direction and tensor.
    """

    instructions: Counts
    words: Mapping[tuple[str, str], Counts]

    @classmethod
    def of(cls, recipe: Recipe) -> "Costs":
        """An atomic operation on memory reads and writes."""
        instructions = np.array([recipe.get(each, Step()).instructions() for each in Feature], dtype=np.int64)
        words: dict[tuple[str, str], Counts] = {}
        for feature, step in recipe.items():
            both = {"counter": step.remote_atomic} if step.remote_atomic else {}
            for kind, tensors in (("dram.read", {**step.reads, **both}), ("dram.write", {**step.writes, **both})):
                for tensor, count in tensors.items():
                    words.setdefault((kind, tensor), np.zeros(len(Feature), dtype=np.int64))[feature] = count
        return cls(instructions, words)

    def counts(self, features: Counts) -> Counts:
        """Instructions of each event: (events, len(Instruction))."""
        return np.asarray(features @ self.instructions)

    def traffic(self, features: Counts, word_bytes: int) -> Traffic:
        """Bytes of memory that all events move, by direction and tensor."""
        totals = features.sum(axis=0)
        sizes = {key: int(totals @ words) * word_bytes for key, words in self.words.items()}
        return {key: size for key, size in sizes.items() if size}


def merged(*recipes: Recipe) -> Recipe:
    """One recipe, later ones adding to earlier ones step by step."""
    table: dict[Feature, Step] = {}
    for recipe in recipes:
        for feature, step in recipe.items():
            table[feature] = _sum(table[feature], step) if feature in table else step
    return table


def _sum(one: Step, other: Step) -> Step:
    return Step(
        integer=one.integer + other.integer,
        float=one.float + other.float,
        scratchpad=one.scratchpad + other.scratchpad,
        atomic=one.atomic + other.atomic,
        remote_atomic=one.remote_atomic + other.remote_atomic,
        reads={key: one.reads.get(key, 0) + other.reads.get(key, 0) for key in {**one.reads, **other.reads}},
        writes={key: one.writes.get(key, 0) + other.writes.get(key, 0) for key in {**one.writes, **other.writes}},
    )


# What every row-by-row kernel does alike: a row's two pointers; an element's column and value, and the pointers of the
# row of the right operand it meets; a product's column and value.
ROW_BY_ROW: Recipe = {
    Feature.ROW: Step(integer=3, reads={"left": 2}),
    Feature.ELEMENT: Step(integer=3, reads={"left": 2, "right": 2}),
    Feature.PRODUCT: Step(integer=2, float=1, reads={"right": 2}),
    Feature.SEARCH: Step(integer=3, reads={"right": 1}),
}


def results(data: DataSpec) -> Recipe:
    """Words that a row and an element of the result take in memory, whoever writes them: one rule for all kernels.

    A row has a pointer. A place that has a product is an element, also where its sum is zero: SMASH counts a row's
    elements as their keys are claimed, before any sum is known, and DMA engines do not look at what they carry. So it
    is in GraphBLAS; scipy drops such zeros. Column and value take whole words each, as threads store them and as V3's
    dense runs hold them.
    """
    pointer, column, value = (
        -(-size // WORD_BYTES) for size in (data.pointer_bytes, data.index_bytes, data.value_bytes)
    )
    return {Feature.ROW: Step(writes={"result": pointer}), Feature.CLAIM: Step(writes={"result": column + value})}


class Rows(NamedTuple):
    """A matrix as numba takes it."""

    starts: Whole
    indices: Index
    values: Values


def rows_of(matrix: Matrix) -> Rows:
    return Rows(matrix.starts, matrix.indices, matrix.values)


class Piece(NamedTuple):
    """Finished rows of the result, or the same columns of them. sizes: (rows,); indices and values: (nonzeros,)."""

    first: int
    sizes: Counts
    indices: Index
    values: Values


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
        need += self.tally.stored * WORD_BYTES * results(self.arch.data)[Feature.CLAIM].writes["result"]
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
    def does(self, options: FabricOptions) -> str:
        """Who gets which work, and where products are added up: words behind the kernel's name."""

    @abstractmethod
    def stages(self, task: Task) -> Sequence[Stage]:
        """The product as the fabric's program; the arithmetic is done when units are made."""

    def size(self, product: SparseProduct) -> Mapping[str, int]:
        """How much has to be walked through, by the limit (`workloads.files.limits.Limits`) that it is held against."""
        return {"multiplies": product.multiplies}


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


class Nowhere:
    """Keeps nothing, for runs whose time alone is asked for."""

    def put(self, piece: Piece) -> None:
        pass


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
