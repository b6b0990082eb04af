"""Commands of the core with everything that hardware needs: addresses, walks, runs. Nothing else knows how data lie.

Control sees the simulator's command; the classes here tell its engine.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from enum import IntEnum
from typing import final

import numpy as np
from numpy.typing import NDArray

from rtl.core.runs import Sorting
from rtl.core.storing import Source
from rtl.core.updating import Updating
from rtl.core.walk import Walk
from rtl.run import Run

Places = NDArray[np.int64]
MASTERS, GRADIENT = "masters", "gradient"  # regions of an update; the second of parameters that no product uses
NOTHING = 0x8000  # -0, as FP16 and BF16 have it: a weight of it leaves any sum as it is


class CoreMemory(IntEnum):
    """The memories of the core."""

    WEST = 0
    NORTH = 1
    RAW = 2
    OUTPUT = 3
    UPDATE = 4  # weights with their states and gradients


@final
@dataclass(frozen=True, eq=False)
class Content:
    """The values of a transfer's words, in their order in DRAM.

    region: names the words in DRAM, so that a transfer which reads what another one wrote, or the same once more, is
    told the same address. tensor: `left`, `right`, `packed` or `sums`. number: which of the products of an op. rows,
    cols: (words, values of a word), where each value stands: (row, element) of the left operand, (element, column) of
    the right one, (kept weight, column) of the packed one, (row, column) of the sums. A negative row is padding: a
    zero, or in place of a weight one that selects operand -1 - row and is -0, so that it leaves any sum as it is.
    """

    region: Hashable
    tensor: str
    number: int
    rows: Places
    cols: Places

    @property
    def words(self) -> int:
        """Words that are moved."""
        return len(self.rows)


@final
@dataclass(frozen=True, eq=False)
class BoundLoad:
    """Words from DRAM into a memory; into RAW from address `base` on. dense: weights come without indices, which are
    the turns of their walk."""

    memory: CoreMemory
    content: Content
    walks: tuple[Walk, ...]
    dense: bool = False


@final
@dataclass(frozen=True, eq=False)
class BoundStore:
    """Sums into DRAM; narrow: rounded to operands, four to a word, otherwise two."""

    content: Content
    walks: tuple[Walk, ...]
    narrow: bool


@final
@dataclass(frozen=True)
class BoundTurn:
    """Words of the raw memory from `raw` on, turned block by block, into the west memory."""

    raw: int
    words: int
    walks: tuple[Walk, ...]


@final
@dataclass(frozen=True)
class BoundSort:
    """Words of the raw memory from `raw` on through the SORE lanes into the north memory.

    groups: how many of which size follow each other; every group comes as `blocks` runs of words, a word an element of
    neighbouring columns. keep: weights kept of a group; pad: also where it has fewer elements.
    """

    raw: int
    words: int
    groups: tuple[tuple[int, int], ...]
    blocks: int
    keep: int
    pad: bool
    walks: tuple[Walk, ...]


@final
@dataclass(frozen=True)
class BoundRun:
    """A run of the array: it reads west and north from these addresses on, one after the other.

    used: rows that have groups of their own, weight stationary; the others see zeros and weights of -0. rows: of the
    tile, whose sums are kept. out: where the sums go; seed: where those they start from are.
    """

    run: Run
    west: int = 0
    north: int = 0
    used: int = 0
    rows: int = 0
    out: int = 0
    seed: int = 0


@final
@dataclass(frozen=True, eq=False)
class Segment:
    """Words of a region of DRAM from word `first` on, and where they lie on chip. source: of those that are stored."""

    region: Hashable
    first: int
    walks: tuple[Walk, ...]
    source: Source = Source.MASTERS

    @property
    def words(self) -> int:
        """Words that are moved."""
        return sum(walk.beats for walk in self.walks)


@final
@dataclass(frozen=True, eq=False)
class BoundMove:
    """Words that do not lie together in DRAM, one segment after the other: into the memory of the update engine, or out
    of several memories."""

    store: bool
    segments: tuple[Segment, ...]


@final
@dataclass(frozen=True)
class BoundUpdate:
    """A block of weights through the update engine."""

    work: Updating


@final
@dataclass(frozen=True)
class BoundCopies:
    """Copies of a block of weights: words of the raw memory through the SORE lanes into the north memory."""

    runs: tuple[Sorting, ...]
    walks: tuple[Walk, ...]


Bound = BoundLoad | BoundStore | BoundTurn | BoundSort | BoundRun | BoundMove | BoundUpdate | BoundCopies
