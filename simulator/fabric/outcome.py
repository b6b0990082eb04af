"""What a run on the fabric took: time by cause, instructions, bytes, and what happened when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from workloads.sparse.matrix import Matrix  # scipy, which a report of a run does without


class Spent(StrEnum):
    """What a thread's time goes into. The list is closed: all of them together are threads x run."""

    ISSUE = "issue"  # an instruction issues
    LATENCY = "latency"  # its own integer and floating-point latency
    PIPELINE = "pipeline"  # other threads' turns
    SCRATCHPAD = "scratchpad"  # latency and banks of the scratchpad
    ATOMIC = "atomic"  # latency and turns of atomic operations
    MEMORY = "memory"  # latency and bandwidth of memory
    NETWORK = "network"  # ports of cores, links of chips
    DMA = "dma"  # what the DMA engine brings, or has still to take away
    SERIAL = "serial"  # a single-threaded part
    IDLE = "idle"  # no work left before the barrier


class Record(NamedTuple):
    """One phase on one core: from when to when, in ticks, thread ticks in events, instructions, bytes of memory."""

    stage: str
    phase: str
    core: int
    start: int
    end: int
    working: int
    instructions: int
    size_bytes: int


class EventRecord(NamedTuple):
    """One event of one thread, in ticks."""

    phase: str
    core: int
    thread: int
    start: int
    end: int


@dataclass(frozen=True)
class FabricTiming:
    """A run. Ticks are 1/64 cycle; `spent` adds up to threads x `ticks`.

    `used` is the share of the run each shared resource was occupied, all of a kind together. `moves` are those bytes of
    `traffic` that the DMA engines carried. `load_ticks` are those spent on memory in which threads wait for loads that
    nobody else delays. `events` is what the run cost, not what it models. `trace` goes from phase to phase.
    """

    ticks: int
    threads: int
    spent: Mapping[Spent, int]
    load_ticks: int
    instructions: Sequence[int]
    serial_instructions: int
    traffic: Mapping[tuple[str, str], int]
    moves: int
    used: Mapping[str, float]
    records: Sequence[Record]
    events: int
    trace: Sequence[EventRecord] = ()


class Multiplying(Protocol):
    """A program that multiplies matrices."""

    def result(self) -> "Matrix":
        """The product, its columns sorted. It is multiplied for this, because runs keep no products."""
        ...


@dataclass(frozen=True)
class Multiplied:
    """A product that was run: what it took, and what the kernel counted meanwhile."""

    timing: FabricTiming
    tally: object
