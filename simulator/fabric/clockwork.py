"""Time on a fabric as Python sees it: servers, cores that wait, and their threads, compiled in `threads.py`."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from simulator.fabric.program import Counts, Phase
from simulator.fabric.rates import CARRYING, SHARED, TICKS
from simulator.fabric.threads import (
    AHEAD,
    BEGAN,
    BEGIN,
    COUNTING,
    EXTRA,
    FREE,
    NONE,
    NOW,
    QUEUE,
    THREAD,
    USED,
    WAITED,
    WORKED,
    WORKING,
    Threads,
    advance,
    serve,
    start,
    transfer,
    wait,
)
from simulator.machines.piuma import FabricArch

Numbers = Mapping[str, Counts]


class Crowd(NamedTuple):
    """What became of a core's threads in a phase: ticks they worked, and waited for an event to begin; ticks their
    events took longer than alone, by what was short, as `SHARED`.
    """

    worked: int
    waited: int
    longer: list[int]


class Clockwork:
    """The servers, threads and cores of a fabric, and the tick it is."""

    def __init__(self, arch: FabricArch) -> None:
        self._threads, self._turn_ticks = arch.threads_per_core, arch.atomic.same_address_cycles * TICKS
        self._numbers = _servers(arch)
        self._state = _idle(arch, self._numbers)

    @property
    def now(self) -> int:
        return int(self._state.clock[NOW])

    def used(self) -> dict[str, float]:
        """The share of the time that shared resources were occupied, all of a kind together."""
        ticks = max(1, self.now)
        kinds = {kind: self._numbers[kind] for kind in (*SHARED, "dma")}
        return {kind: int(self._state.servers[each, USED].sum()) / (ticks * len(each)) for kind, each in kinds.items()}

    def serve(self, kind: str, which: int, ticks: int) -> int:
        """When a server is done, if asked now."""
        return int(serve(self._state.servers, self._numbers[kind][which], self.now, ticks))

    def transfer(self, core: int, ticks: Counts) -> int:
        """When data is there, if a core asks now: a latency after the last of what its transfer needs (`CARRYING`)."""
        return int(transfer(self._state.servers, self._state.carrying[core], self.now, ticks)) + self._state.latency

    def reset(self, kind: str, which: int) -> None:
        """A server that nobody has asked yet."""
        self._state.servers[self._numbers[kind][which], FREE] = 0

    def wait(self, core: int, tick: int) -> None:
        """Let a core wait for a tick."""
        wait(self._state.clock, self._state.heap, len(self._state.threads) + core, tick)

    def next_core(self) -> int | None:
        """Let time pass until it is a core's turn. Returns None where nobody waits."""
        core = int(advance(self._state))
        return None if core == NONE else core

    def begin(self, core: int, phase: Phase, ticks: Counts) -> None:
        """Let the threads of a core begin a phase's events. It is the core's turn when all of them have ended.

        ticks: (events, 1 + len(SHARED) + len(CARRYING)), as `Demands` has them.
        """
        order = self._deal(core, phase)
        count = len(order)
        if count > self._state.events.shape[1]:
            more = np.zeros((len(self._state.cores), count - self._state.events.shape[1], THREAD + 1), dtype=np.int64)
            self._state = self._state._replace(events=np.concatenate([self._state.events, more], axis=1))
        self._state.events[core, :count, :BEGIN] = ticks[order]
        mine = self._state.cores[core]
        mine[:] = 0
        mine[BEGAN], mine[AHEAD] = self.now, phase.fetches is not None
        mine[COUNTING] = self._turn_ticks if phase.threads is None else 0
        self.reset("counter", core)
        start(self._state, core, self.now)

    def _deal(self, core: int, phase: Phase) -> Counts:
        """Give a core's threads their queues. Returns the events in the order in which they lie in them."""
        first, last, count = core * self._threads, (core + 1) * self._threads, len(phase.counts)
        threads, queues = self._state.threads[first:last], self._state.queues[first:last]
        threads[:, WORKING], queues[:] = False, 0
        if phase.threads is None:
            threads[:, QUEUE], queues[0] = first, (0, count)
            return np.arange(count)
        threads[:, QUEUE] = np.arange(first, last)
        sizes = np.bincount(phase.threads, minlength=self._threads)
        queues[:, 1] = np.cumsum(sizes)
        queues[:, 0] = queues[:, 1] - sizes
        return np.argsort(phase.threads, kind="stable")

    def crowd(self, core: int) -> Crowd:
        """What became of the threads of the core's last phase."""
        mine = self._state.cores[core].tolist()
        return Crowd(mine[WORKED], mine[WAITED], mine[EXTRA:])

    def events(self, core: int, count: int) -> list[tuple[int, int, int]]:
        """Thread, begin and end of each of the `count` events of the core's last phase."""
        done = self._state.events[core, :count]
        return list(zip((done[:, THREAD] % self._threads).tolist(), *done[:, BEGIN:THREAD].T.tolist(), strict=True))


def _servers(arch: FabricArch) -> Numbers:
    """A number for each server of a kind: each pipeline's and each core's, each chip's, and those there are one of."""
    sizes = {
        "pipeline": arch.cores * arch.pipeline.mtps,
        **dict.fromkeys(("scratchpad", "atomic", "network", "dma", "counter"), arch.cores),
        "link": arch.chips,
        "memory": 1,
        "units": 1,
    }
    ends = np.cumsum(list(sizes.values()))
    return {kind: np.arange(end - size, end) for (kind, size), end in zip(sizes.items(), ends, strict=True)}


def _idle(arch: FabricArch, numbers: Numbers) -> Threads:
    """Threads before a run."""
    cores, per_core = np.arange(arch.cores), arch.threads_per_core
    of_core = {kind: numbers[kind] for kind in ("scratchpad", "atomic", "network", "dma")}
    of_core |= {
        "memory": np.repeat(numbers["memory"], len(cores)),
        "link": numbers["link"][cores // arch.cores_per_chip],
    }
    core, thread = np.divmod(np.arange(len(cores) * per_core), per_core)
    pipeline = numbers["pipeline"][core * arch.pipeline.mtps + thread % arch.pipeline.mtps]
    return Threads(
        clock=np.zeros(3, dtype=np.int64),
        heap=np.zeros((len(core) + len(cores), 3), dtype=np.int64),
        servers=np.zeros((sum(map(len, numbers.values())), 2), dtype=np.int64),
        shared=np.stack([pipeline, *(of_core[kind][core] for kind in SHARED[1:])], axis=1),
        carrying=np.stack([of_core[kind] for kind in CARRYING], axis=1),
        counters=numbers["counter"],
        threads=np.zeros((len(core), WORKING + 1), dtype=np.int64),
        queues=np.zeros((len(core), 2), dtype=np.int64),
        cores=np.zeros((len(cores), EXTRA + len(SHARED)), dtype=np.int64),
        events=np.zeros((len(cores), 0, THREAD + 1), dtype=np.int64),
        latency=arch.dram_latency_cycles * TICKS,
    )
