"""A fabric in ticks: how long instructions take alone, and how long they occupy what they share."""

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
    """Ticks of a phase. of_events: (events, 1 + len(SHARED) + len(CARRYING)), of each event alone, on each shared
    resource, and for what the DMA engine brings on each. by_class: (len(Instruction),), alone, of all events.
    """

    of_events: Counts
    by_class: Counts


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
        """Bytes that loads, stores and atomic operations move to and from memory. counts: (..., len(Instruction))."""
        loads, stores = counts[..., Instruction.LOAD], counts[..., Instruction.STORE]
        return np.asarray((loads + stores + 2 * counts[..., Instruction.REMOTE_ATOMIC]) * self.access_bytes)

    @cached_property
    def byte_ticks(self) -> tuple[float, float, float]:
        """Ticks that a byte takes on all channels of all chips, over which addresses are spread; on a core's port, but
        for what lies in the core's own part of memory; on a chip's links, but for what lies on the chip.
        """
        arch = self.arch
        return (
            TICKS / (arch.dram_bytes_per_cycle * arch.chips),
            TICKS * (1 - 1 / arch.cores) / arch.network.core_bytes_per_cycle,
            TICKS * (1 - 1 / arch.chips) / arch.network.chip_bytes_per_cycle,
        )

    def memory_ticks(self, size_bytes: int) -> int:
        """On memory."""
        return int(_ceil(size_bytes * self.byte_ticks[0]))

    def carrying(self, size_bytes: Amount, descriptors: Amount) -> Counts:
        """On what transfers need: (..., len(CARRYING)). The engine takes the longer of moving and setting up."""
        spec = self.arch.dma
        moving = np.multiply(size_bytes, TICKS / spec.bytes_per_cycle)
        setting = np.multiply(descriptors, TICKS * spec.setup_cycles / spec.overlapped)
        rest = [np.multiply(size_bytes, each) for each in self.byte_ticks]
        return _ceil(np.stack([np.maximum(moving, setting), *rest], axis=-1))

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
            accesses * (TICKS * phase.bank_skew / (pad.banks * pad.ports)),
            atomics * (TICKS * turn),
            *(moved * each for each in self.byte_ticks),
        )
        alone = self.alone(counts)
        of_events = np.zeros((len(counts), 1 + len(SHARED) + len(CARRYING)), dtype=np.int64)
        of_events[:, 0] = alone.sum(axis=1)
        of_events[:, 1 : 1 + len(SHARED)] = _ceil(np.stack(shared, axis=1))
        if phase.fetches is not None:
            of_events[:, 1 + len(SHARED) :] = self.carrying(*phase.fetches.T)
        return Demands(of_events, alone.sum(axis=0))


def _ceil(ticks: Any) -> Counts:
    """Whole ticks, rounded up."""
    return np.asarray(np.ceil(np.subtract(ticks, 1e-9)).astype(np.int64))
