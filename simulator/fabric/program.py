"""The fabric's input language: stages of units, units of phases, phases of events.

An event is a run of instructions of one thread, some hundred of them; its counts come from what the kernel did with the
data. A unit runs on one core and is made when that core begins it, so that only what is in work is in memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
WORD_BYTES = 8  # of a load, a store, a scratchpad access or an atomic operation


class Instruction(IntEnum):
    """Classes of instructions; the columns of a phase's counts."""

    INTEGER = 0
    FLOAT = 1
    LOAD = 2  # 8 bytes of memory
    STORE = 3
    SCRATCHPAD = 4  # a load or a store there
    ATOMIC = 5  # fetch-add or compare-and-swap on the scratchpad
    REMOTE_ATOMIC = 6  # the same on memory


Traffic = Mapping[tuple[str, str], int]  # bytes by ("dram.read" or "dram.write", tensor)


@dataclass(frozen=True)
class Move:
    """Bytes the DMA engine moves between memory and scratchpad, in `descriptors` pieces, for one tensor's sake."""

    kind: str  # "dram.read" or "dram.write"
    tensor: str
    size_bytes: int
    descriptors: int


@dataclass(frozen=True)
class Phase:
    """Events that may run at once on the threads of a core, and a barrier behind them.

    counts: (events, len(Instruction)). threads: (events,), who carries each out, in order; None where threads take the
    next one from a counter in the scratchpad. `serial`: all on one single-threaded pipeline instead. `bank_skew` is the
    busiest bank's accesses over the mean's, `hot_share` the share of atomic operations that meet at one address.
    fetches: (events, 2), bytes and descriptors the DMA engine brings before each event begins. `moves` go on while the
    next phases run.
    """

    name: str
    counts: Counts
    threads: NDArray[np.int32] | None = None
    traffic: Traffic = field(default_factory=dict)
    serial: bool = False
    bank_skew: float = 1.0
    hot_share: float = 0.0
    fetches: Counts | None = None
    moves: tuple[Move, ...] = ()

    @cached_property
    def totals(self) -> Counts:
        """Instructions of all events: (len(Instruction),)."""
        return np.asarray(self.counts.sum(axis=0))


class Unit(Protocol):
    """A piece of a stage that one core carries out."""

    def phases(self) -> Sequence[Phase]:
        """Does the arithmetic, and says what it took."""


@dataclass(frozen=True)
class Stage:
    """Units, and a barrier over all cores behind them.

    homes: (units,), the core of each; None where cores take the next one from a counter in memory. `buffers` are the
    scratchpad buffers a core's units use in turn: one is free again when the moves of its unit are done.
    """

    name: str
    units: Sequence[Unit]
    homes: Sequence[int] | None = None
    buffers: int = 1
