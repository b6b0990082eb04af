"""Time on a fabric beside the same in SimPy: a process a thread, and Python's own numbers."""

from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

import numpy as np
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.fabric.clockwork import Clockwork, Crowd
from simulator.fabric.program import Counts, Instruction, Phase
from simulator.fabric.rates import SHARED, TICKS, Rates
from simulator.machines.piuma import FabricArch
from tests.spgemm.test_equality import SMALL

Process = Generator[simpy.Event, object, None]


@dataclass
class Referee:
    """The threads of a phase on every core, all begun at tick 0."""

    arch: FabricArch
    phases: list[Phase]

    def __post_init__(self) -> None:
        self.env = simpy.Environment()
        self.free: Counter[tuple[str, int]] = Counter()
        self.crowds = [Crowd(0, 0, [0] * len(SHARED)) for _ in self.phases]
        self.ends = [0] * len(self.phases)

    def run(self) -> list[tuple[int, Crowd]]:
        """When each core's threads are done, and what became of them."""
        for core, phase in enumerate(self.phases):
            self.env.process(self._core(core, phase))
        self.env.run()
        return list(zip(self.ends, self.crowds, strict=True))

    def _core(self, core: int, phase: Phase) -> Process:
        threads, ticks = self.arch.threads_per_core, Rates(self.arch).demands(phase).of_events
        if phase.threads is None:
            shared = iter(range(len(phase.counts)))
            queues = [shared] * threads
        else:
            queues = [iter(np.flatnonzero(phase.threads == thread)) for thread in range(threads)]
        running = [
            self.env.process(self._thread(core, phase, number, queue, ticks)) for number, queue in enumerate(queues)
        ]
        yield self.env.all_of(running)
        self.ends[core] = int(self.env.now)

    def _thread(self, core: int, phase: Phase, thread: int, queue: Iterator[int], ticks: Counts) -> Process:
        ahead, upcoming = phase.fetches is not None, self._next(core, phase, queue, ticks)
        chip, names = core // self.arch.cores_per_chip, dict.fromkeys(SHARED, core)
        names |= {
            "pipeline": core * self.arch.pipeline.mtps + thread % self.arch.pipeline.mtps,
            "memory": 0,
            "link": chip,
        }
        while upcoming is not None:
            event, ready = upcoming
            wait = max(0, ready - int(self.env.now))
            self._note(core, waited=wait)
            if wait:
                yield self.env.timeout(wait)
            upcoming = self._next(core, phase, queue, ticks) if ahead else None
            alone, *demands = ticks[event, : 1 + len(SHARED)].tolist()
            asked = zip(names.items(), demands, strict=True)
            done = [self._serve(server, need) if need else 0 for server, need in asked]
            longest = max(range(len(SHARED)), key=lambda place: done[place])
            took = max(alone, done[longest] - int(self.env.now))
            self._note(core, longer=(longest, took - alone))
            yield self.env.timeout(took)
            upcoming = upcoming if ahead else self._next(core, phase, queue, ticks)
        self._note(core, worked=int(self.env.now))

    def _next(self, core: int, phase: Phase, queue: Iterator[int], ticks: Counts) -> tuple[int, int] | None:
        event = next(queue, None)
        if event is None:
            return None
        turn = self.arch.atomic.same_address_cycles * TICKS if phase.threads is None else 0
        ready = self._serve(("counter", core), turn) - turn
        if phase.fetches is None:
            return event, ready
        chip, needs = core // self.arch.cores_per_chip, ticks[event, 1 + len(SHARED) :].tolist()
        servers = ("dma", core), ("memory", 0), ("network", core), ("link", chip)
        there = max(self._serve(server, need) for server, need in zip(servers, needs, strict=True))
        return event, max(ready, there + self.arch.dram_latency_cycles * TICKS)

    def _serve(self, server: tuple[str, int], ticks: int) -> int:
        self.free[server] = max(self.free[server], int(self.env.now)) + ticks
        return self.free[server]

    def _note(self, core: int, worked: int = 0, waited: int = 0, longer: tuple[int, int] = (0, 0)) -> None:
        crowd = self.crowds[core]
        crowd.longer[longer[0]] += longer[1]
        self.crowds[core] = Crowd(crowd.worked + worked, crowd.waited + waited, crowd.longer)


@st.composite
def phases(draw: st.DrawFn, threads: int) -> Phase:
    """A phase of a few events, dealt or taken, some of which have data fetched."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    events = draw(st.integers(1, 40))
    counts = rng.integers(0, draw(st.sampled_from([2, 30, 400])), (events, len(Instruction)))
    owners = rng.integers(0, threads, events).astype(np.int32) if draw(st.booleans()) else None
    fetches = rng.integers(0, 4096, (events, 2)) if draw(st.booleans()) else None
    skew, share = draw(st.sampled_from([1.0, 3.7])), draw(st.sampled_from([0.0, 0.9]))
    return Phase("any", counts, owners, bank_skew=skew, hot_share=share, fetches=fetches)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from([1, 2]), st.sampled_from([1, 2]), st.sampled_from([0.5, 35.2]))
def test_threads_take_the_ticks_that_simpy_gives_them(data: st.DataObject, chips: int, mtps: int, gb_s: float) -> None:
    arch = replace(
        SMALL,
        chips=chips,
        pipeline=replace(SMALL.pipeline, mtps=mtps, threads_per_mtp=4),
        dram=replace(SMALL.dram, channel_bandwidth_gb_s=gb_s),
    )
    given_phases = [data.draw(phases(arch.threads_per_core)) for _ in range(arch.cores)]
    clockwork, ends = Clockwork(arch), [0] * arch.cores
    for core, phase in enumerate(given_phases):
        clockwork.begin(core, phase, Rates(arch).demands(phase).of_events)
    while (core := clockwork.next_core()) is not None:
        ends[core] = clockwork.now
    mine = [(end, clockwork.crowd(core)) for core, end in enumerate(ends)]
    assert mine == Referee(arch, given_phases).run()
