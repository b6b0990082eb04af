"""A fabric in ticks: how long instructions take alone, and how long they occupy what they share."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from simulator.fabric.program import WORD_BYTES, Counts, Instruction, Phase
from simulator.machines.piuma import FabricArch

Amount = Counts | int
TICKS = 64  # a cycle: rates are fractions of cycles, and time is whole
ATOMIC_ACCESSES = 2  # of a bank: a read and a write


@dataclass(frozen=True)
class Demands:
    """Ticks for each event of a phase: alone, on each shared resource in the order of `SHARED`, and for what the DMA
    engine brings on each resource in the order of `CARRYING`. by_class: (len(Instruction),), `alone` of all events.
    """

    alone: list[int]
    by_class: Counts
    shared: list[tuple[int, ...]]
    fetched: list[tuple[int, ...]]


SHARED = ("pipeline", "scratchpad", "atomic", "memory", "network", "link")
CARRYING = ("dma", "memory", "network", "link")


@dataclass(frozen=True)
class Rates:
    """What a description comes to."""

    arch: FabricArch

    @cached_property
    def latencies(self) -> Counts:
        """Ticks from one instruction of a thread to its next, by class, with nobody else there."""
        arch = self.arch
        pad, memory = arch.scratchpad.latency_cycles, arch.dram_latency_cycles
        cycles = {
            Instruction.INTEGER: arch.pipeline.integer_cycles,
            Instruction.FLOAT: arch.pipeline.float_cycles,
            Instruction.LOAD: memory,
            Instruction.STORE: arch.network.core_latency_cycles,  # done when the network has it
            Instruction.SCRATCHPAD: pad,
            Instruction.ATOMIC: pad + arch.atomic.latency_cycles,
            Instruction.REMOTE_ATOMIC: memory + arch.atomic.latency_cycles,
        }
        return np.array([TICKS * max(1, cycles[each]) for each in Instruction], dtype=np.int64)

    def alone(self, counts: Counts) -> Counts:
        """Ticks of each event by class with nobody else there: (events, len(Instruction)).

        Of n loads, `loads_in_flight` under way at once, ceil(n / loads_in_flight) are waited for, and the others take
        their issue.
        """
        ticks = counts * self.latencies
        loads = counts[:, Instruction.LOAD]
        waited = -(-loads // self.arch.pipeline.loads_in_flight)
        ticks[:, Instruction.LOAD] = waited * self.latencies[Instruction.LOAD] + (loads - waited) * TICKS
        return ticks

    @property
    def access_bytes(self) -> int:
        """Bytes one access of a word moves."""
        return -(-WORD_BYTES // self.arch.dram.granule_bytes) * self.arch.dram.granule_bytes

    def memory_bytes(self, counts: Counts) -> Counts:
        """Bytes each event's own loads, stores and atomic operations move to and from memory: (events,)."""
        words = counts[:, Instruction.LOAD] + counts[:, Instruction.STORE] + 2 * counts[:, Instruction.REMOTE_ATOMIC]
        return np.asarray(words * self.access_bytes)

    def memory_ticks(self, size_bytes: Amount) -> Counts:
        """On all channels of all chips: addresses are spread over them."""
        return _ceil(size_bytes * (TICKS / (self.arch.dram_bytes_per_cycle * self.arch.chips)))

    def network_ticks(self, size_bytes: Amount) -> Counts:
        """On a core's port: all but what lies in the core's own part of memory."""
        return _ceil(size_bytes * (TICKS * (1 - 1 / self.arch.cores) / self.arch.network.core_bytes_per_cycle))

    def link_ticks(self, size_bytes: Amount) -> Counts:
        """On a chip's links: what lies on other chips."""
        return _ceil(size_bytes * (TICKS * (1 - 1 / self.arch.chips) / self.arch.network.chip_bytes_per_cycle))

    def carrying(self, size_bytes: Amount, descriptors: Amount) -> tuple[Counts, ...]:
        """On what a transfer needs, as `CARRYING`; the engine takes the longer of moving and setting up."""
        spec = self.arch.dma
        moving = _ceil(np.multiply(size_bytes, TICKS / spec.bytes_per_cycle))
        setting = _ceil(np.multiply(descriptors, TICKS * spec.setup_cycles / spec.overlapped))
        rest = (self.memory_ticks(size_bytes), self.network_ticks(size_bytes), self.link_ticks(size_bytes))
        return (np.maximum(moving, setting), *rest)

    def demands(self, phase: Phase) -> Demands:
        """Ticks of every event of a phase."""
        counts, moved = phase.counts, self.memory_bytes(phase.counts)
        atomics = counts[:, Instruction.ATOMIC]
        accesses = counts[:, Instruction.SCRATCHPAD] + ATOMIC_ACCESSES * atomics
        if phase.fetches is not None:
            accesses = accesses + phase.fetches[:, 0] // WORD_BYTES
        pad, engine = self.arch.scratchpad, self.arch.atomic
        turn = max(1 / engine.ops_per_cycle, phase.hot_share * engine.same_address_cycles)
        shared = (
            counts.sum(axis=1) * TICKS,
            _ceil(accesses * (TICKS * phase.bank_skew / (pad.banks * pad.ports))),
            _ceil(atomics * (TICKS * turn)),
            self.memory_ticks(moved),
            self.network_ticks(moved),
            self.link_ticks(moved),
        )
        alone = self.alone(counts)
        fetched = () if phase.fetches is None else self.carrying(phase.fetches[:, 0], phase.fetches[:, 1])
        return Demands(alone.sum(axis=1).tolist(), alone.sum(axis=0), _by_event(shared), _by_event(fetched))


def _by_event(columns: Sequence[Counts]) -> list[tuple[int, ...]]:
    return list(zip(*(each.tolist() for each in columns), strict=True))


def _ceil(ticks: Any) -> Counts:
    """Whole ticks, rounded up."""
    return np.asarray(np.ceil(np.subtract(ticks, 1e-9)).astype(np.int64))
