"""Vector work on a fabric: threads take stretches of elements that DMA engines bring and carry away."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dataflows.spgemm.results import timing_of
from simulator.fabric.program import Instruction, Move, Phase, Stage
from simulator.fabric.rates import Rates
from simulator.fabric.run import FabricRun
from simulator.machines.piuma import FabricArch
from simulator.timing import Timing
from workloads.op import VectorOp

BLOCK = 2**20  # elements that are simulated, at most
STRETCH = 512  # elements of an event


@dataclass(frozen=True)
class StreamUnit:
    """One core's elements: so many worked on, `reads` brought and `writes` carried away."""

    arch: FabricArch
    elements: int
    reads: int
    writes: int

    def phases(self) -> Sequence[Phase]:
        events = -(-self.elements // STRETCH)
        if not events:
            return ()
        value = self.arch.data.value_bytes
        counts = np.zeros((events, len(Instruction)), dtype=np.int64)
        stretch = np.full(events, STRETCH, dtype=np.int64)
        stretch[-1] = self.elements - STRETCH * (events - 1)
        counts[:, Instruction.FLOAT] = stretch * self.arch.vector.instructions_per_element
        owners = np.arange(events, dtype=np.int32) % self.arch.threads_per_core
        if not self.arch.vector.through_dma:
            word = Rates(self.arch).access_bytes
            counts[:, Instruction.LOAD] = _even(self.reads, events)
            counts[:, Instruction.STORE] = _even(self.writes, events)
            moved = {("dram.read", "vector"): self.reads * word, ("dram.write", "vector"): self.writes * word}
            return (Phase("stream", counts, owners, moved),)
        fetches = np.stack([_even(self.reads * value, events), np.full(events, 2)], axis=1)
        counts[:, Instruction.SCRATCHPAD] = _even(self.reads + self.writes, events)
        moves = (Move("dram.write", "vector", self.writes * value, events),) if self.writes else ()
        moved = {("dram.read", "vector"): self.reads * value}
        return (Phase("stream", counts, owners, moved, fetches=fetches, moves=moves),)


@dataclass(frozen=True, eq=False)
class Stream:
    """Vector work of an op: some of its elements are run, and the op is `times` that."""

    arch: FabricArch
    op: VectorOp

    @property
    def _elements(self) -> int:
        return max(self.op.elements, self.op.reads, self.op.writes, 1)

    @property
    def _share(self) -> float:
        """What of the op's elements is run."""
        return min(self._elements, BLOCK) / self._elements

    @property
    def times(self) -> float:
        return self.op.count / self._share

    def run(self, exact: bool) -> Timing:
        """A fabric has one reader, so `exact` changes nothing."""
        block, share, cores = min(self._elements, BLOCK), self._share, self.arch.cores
        shares = [_even(count, cores) for count in (block, round(self.op.reads * share), round(self.op.writes * share))]
        units = [StreamUnit(self.arch, *(int(each) for each in core)) for core in zip(*shares, strict=True)]
        found = FabricRun(self.arch).run([Stage("stream", units, list(range(cores)))])
        return timing_of(found, self.times, self.arch, found)


def _even(count: int, parts: int) -> np.ndarray:
    """`count` in so many whole parts, as even as can be: (parts,)."""
    return np.asarray(count // parts + (np.arange(parts) < count % parts), dtype=np.int64)
