"""The fabric as SimPy processes: a process a core, one a thread of each phase; an event of a phase is a SimPy event.

Shared resources (pipelines, banks, atomic engines, DMA engines, network ports, links, memory) serve in the order they
are asked, an event's whole demand at once: what a thread needs in an event is counted beforehand, and its time is the
longest of being alone and of being served everywhere. Nothing is ever served above its rate. What this leaves out is
the order of single accesses inside events; `tests/dataflows/test_interleaved.py` measures what that changes.
"""

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import simpy

from simulator.fabric.outcome import EventRecord, FabricTiming, Record, Spent
from simulator.fabric.program import Instruction, Move, Phase, Stage, Unit
from simulator.fabric.rates import SHARED, TICKS, Demands, Rates
from simulator.machines.piuma import FabricArch

Process = Generator[simpy.Event, object, None]
CAUSE = (Spent.PIPELINE, Spent.SCRATCHPAD, Spent.ATOMIC, Spent.MEMORY, Spent.NETWORK, Spent.NETWORK)  # as `SHARED`


@dataclass
class Server:
    """Something shared: free again at `free`, occupied for `used` ticks so far."""

    free: int = 0
    used: int = 0

    def serve(self, now: int, ticks: int) -> int:
        """When it is done, if asked now."""
        self.used += ticks
        self.free = max(self.free, now) + ticks
        return self.free


@dataclass
class Core:
    """The resources of one core, and when each of its scratchpad buffers is free again."""

    number: int
    pipelines: list[Server]
    scratchpad: Server = field(default_factory=Server)
    atomic: Server = field(default_factory=Server)
    network: Server = field(default_factory=Server)
    dma: Server = field(default_factory=Server)
    buffers: list[int] = field(default_factory=list)


@dataclass
class Crowd:
    """The threads of one phase on one core: what they share, and what became of them."""

    core: Core
    phase: Phase
    demands: Demands
    counter: Server | None  # of the events, where threads take the next one
    extra: list[int] = field(default_factory=lambda: [0] * len(SHARED))  # ticks more than alone, by what was short
    ends: list[int] = field(default_factory=list)


class FabricRun:
    """One run of some stages. `trace` keeps every event, for pictures of small runs."""

    def __init__(self, arch: FabricArch, trace: bool = False) -> None:
        self.arch, self.rates = arch, Rates(arch)
        self._latency = arch.dram_latency_cycles * TICKS
        self.env = simpy.Environment(0)
        self.memory = Server()
        self.links = [Server() for _ in range(arch.chips)]
        self.cores = [Core(number, [Server() for _ in range(arch.pipeline.mtps)]) for number in range(arch.cores)]
        self.spent: dict[Spent, int] = dict.fromkeys(Spent, 0)
        self.instructions = np.zeros(len(Instruction), dtype=np.int64)
        self.serial_instructions = 0
        self.traffic: Counter[tuple[str, str]] = Counter()
        self.moves = self.load_ticks = 0
        self.records: list[Record] = []
        self.trace: list[EventRecord] | None = [] if trace else None
        self.events = 0

    def run(self, stages: Sequence[Stage]) -> FabricTiming:
        """Carry out the stages, one after the other."""
        self.env.process(self._stages(stages))
        self.env.run()
        ticks = int(self.env.now)
        return FabricTiming(
            ticks=ticks,
            threads=self.arch.cores * self.arch.threads_per_core,
            spent=self.spent,
            load_ticks=self.load_ticks,
            instructions=self.instructions.tolist(),
            serial_instructions=self.serial_instructions,
            traffic=dict(self.traffic),
            moves=self.moves,
            used=self._used(max(1, ticks)),
            records=self.records,
            events=self.events,
            trace=self.trace or (),
        )

    def _used(self, ticks: int) -> dict[str, float]:
        pipelines = [each for core in self.cores for each in core.pipelines]
        kinds = {
            "pipeline": pipelines,
            "scratchpad": [core.scratchpad for core in self.cores],
            "atomic": [core.atomic for core in self.cores],
            "memory": [self.memory],
            "network": [core.network for core in self.cores],
            "link": self.links,
            "dma": [core.dma for core in self.cores],
        }
        return {kind: sum(each.used for each in servers) / (ticks * len(servers)) for kind, servers in kinds.items()}

    def _stages(self, stages: Sequence[Stage]) -> Process:
        for stage in stages:
            counter, shared = Server(), iter(stage.units)
            running = []
            for core in self.cores:
                core.buffers = [int(self.env.now)] * stage.buffers
                units = shared if stage.homes is None else _at_home(stage, core.number)
                running.append(self.env.process(self._core(stage, core, units, counter)))
            yield self.env.all_of(running)
            last = int(self.env.now)
            early = sum(last - int(each.value or 0) for each in running)
            self.spent[Spent.IDLE] += early * self.arch.threads_per_core

    def _core(
        self, stage: Stage, core: Core, units: Iterator[Unit], counter: Server
    ) -> Generator[simpy.Event, object, int]:
        """A core takes units until none is left, and waits for what its DMA engine still moves. Returns its end."""
        turn = 0
        while True:
            if stage.homes is None:
                yield from self._take_unit(counter)
            unit = next(units, None)
            if unit is None:
                break
            place = turn % stage.buffers
            yield from self._wait(core.buffers[place], Spent.DMA)
            free = int(self.env.now)
            for phase in unit.phases():
                yield from self._phase(stage, core, phase)
                free = max([free, *(self._move(stage, core, move) for move in phase.moves)])
            core.buffers[place] = free
            turn += 1
        yield from self._wait(max(core.buffers), Spent.DMA)
        return int(self.env.now)

    def _wait(self, until: int, cause: Spent) -> Process:
        """All threads of a core wait."""
        ticks = until - int(self.env.now)
        if ticks > 0:
            self.spent[cause] += ticks * self.arch.threads_per_core
            yield self.env.timeout(ticks)

    def _take_unit(self, counter: Server) -> Process:
        """A fetch-add on a counter in memory."""
        alone = int(self.rates.latencies[Instruction.REMOTE_ATOMIC])
        turn = counter.serve(int(self.env.now), self.arch.atomic.same_address_cycles * TICKS)
        self.serial_instructions += 1
        yield from self._wait(max(turn, int(self.env.now) + alone), Spent.SERIAL)

    def _phase(self, stage: Stage, core: Core, phase: Phase) -> Process:
        began, working = int(self.env.now), 0
        if phase.serial:
            yield from self._wait(began + self._serial_ticks(phase), Spent.SERIAL)
            self.serial_instructions += int(phase.counts.sum())
        else:
            working = yield from self._threads(core, phase)
            self.instructions += phase.counts.sum(axis=0)
        self.traffic.update(phase.traffic)
        moved = int(self.rates.memory_bytes(phase.counts).sum())
        if phase.fetches is not None:
            fetched = int(phase.fetches[:, 0].sum())
            self.moves += fetched
            moved += fetched
        counted, now = int(phase.counts.sum()), int(self.env.now)
        self.records.append(Record(stage.name, phase.name, core.number, began, now, working, counted, moved))

    def _serial_ticks(self, phase: Phase) -> int:
        """On a single-threaded pipeline, which takes each instruction at its own latency."""
        latencies = self.rates.latencies.copy()
        latencies[Instruction.INTEGER] = TICKS * self.arch.pipeline.stp_integer_cycles
        moved = int(self.rates.memory_bytes(phase.counts).sum())
        self.memory.serve(int(self.env.now), int(self.rates.memory_ticks(moved)))
        return int((phase.counts @ latencies).sum())

    def _threads(self, core: Core, phase: Phase) -> Generator[simpy.Event, object, int]:
        """All events of a phase, and the barrier. Returns the ticks threads spent in events."""
        began, threads = int(self.env.now), self.arch.threads_per_core
        crowd = Crowd(core, phase, self.rates.demands(phase), Server() if phase.threads is None else None)
        queues = self._queues(phase)
        processes = [self.env.process(self._thread(crowd, thread, queue)) for thread, queue in queues]
        if processes:
            yield self.env.all_of(processes)
        now = int(self.env.now)
        self.spent[Spent.IDLE] += sum(now - end for end in crowd.ends) + (threads - len(queues)) * (now - began)
        for cause, ticks in zip(CAUSE, crowd.extra, strict=True):
            self.spent[cause] += ticks
        self._spend_alone(crowd)
        self.events += len(phase.counts)
        return sum(end - began for end in crowd.ends)

    def _queues(self, phase: Phase) -> list[tuple[int, Iterator[int]]]:
        """The threads that have work, and where each takes its events from."""
        count = len(phase.counts)
        if phase.threads is None:
            shared = iter(range(count))
            return [(thread, shared) for thread in range(min(count, self.arch.threads_per_core))]
        order = np.argsort(phase.threads, kind="stable")
        owners, starts = np.unique(phase.threads[order], return_index=True)
        parts = np.split(order, starts[1:])
        return [(int(owner), iter(part.tolist())) for owner, part in zip(owners, parts, strict=True)]

    def _thread(self, crowd: Crowd, thread: int, queue: Iterator[int]) -> Process:
        env, phase = self.env, crowd.phase
        alone, shared = crowd.demands.alone, crowd.demands.shared
        servers = self._servers(crowd.core, thread)
        upcoming = self._next(crowd, queue)
        while upcoming is not None:
            number, ready = upcoming
            if ready > env.now:
                self.spent[Spent.ATOMIC if phase.fetches is None else Spent.DMA] += ready - int(env.now)
                yield env.timeout(ready - env.now)
            began = int(env.now)
            if phase.fetches is not None:  # the next event's data comes while this one is worked on
                upcoming = self._next(crowd, queue)
            own = end = began + alone[number]
            limit = -1
            for index, ticks in enumerate(shared[number]):
                done = servers[index].serve(began, ticks) if ticks else 0
                if done > end:
                    end, limit = done, index
            if limit >= 0:
                crowd.extra[limit] += end - own
            yield env.timeout(end - began)
            if self.trace is not None:
                self.trace.append(EventRecord(phase.name, crowd.core.number, thread, began, end))
            if phase.fetches is None:
                upcoming = self._next(crowd, queue)
        crowd.ends.append(int(env.now))

    def _servers(self, core: Core, thread: int) -> tuple[Server, ...]:
        """What a thread shares, in the order of `SHARED`."""
        pipeline = core.pipelines[thread % len(core.pipelines)]
        return pipeline, core.scratchpad, core.atomic, self.memory, core.network, self._link(core)

    def _link(self, core: Core) -> Server:
        return self.links[core.number // self.arch.cores_per_chip]

    def _next(self, crowd: Crowd, queue: Iterator[int]) -> tuple[int, int] | None:
        """The thread's next event, and when it can begin."""
        number = next(queue, None)
        if number is None:
            return None
        ready = now = int(self.env.now)
        if crowd.counter is not None:
            own = self.arch.atomic.same_address_cycles * TICKS
            ready = crowd.counter.serve(now, own) - own
        if crowd.phase.fetches is None:
            return number, ready
        return number, max(ready, self._transfer(crowd.core, crowd.demands.fetched[number]))

    def _move(self, stage: Stage, core: Core, move: Move) -> int:
        """Begin a move. Returns when it is done."""
        now = int(self.env.now)
        self.traffic[(move.kind, move.tensor)] += move.size_bytes
        moved = move.size_bytes if move.kind.startswith("dram") else 0
        self.moves += moved
        core.scratchpad.serve(now, self._pad_ticks(move.size_bytes))
        ticks = [int(each) for each in self.rates.carrying(move.size_bytes, move.descriptors)]
        done = self._transfer(core, ticks if move.kind.startswith("dram") else ticks[:1])
        self.records.append(Record(stage.name, "dma", core.number, now, done, 0, 0, moved))
        return done

    def _pad_ticks(self, size_bytes: int) -> int:
        pad = self.arch.scratchpad
        return -(-size_bytes * TICKS // (8 * pad.banks * pad.ports))

    def _transfer(self, core: Core, ticks: Sequence[int]) -> int:
        """Ask for what a transfer needs at once; the data is there a latency after the slowest."""
        servers = (core.dma, self.memory, core.network, self._link(core))
        now = int(self.env.now)
        return max(server.serve(now, each) for server, each in zip(servers, ticks, strict=False)) + self._latency

    def _spend_alone(self, crowd: Crowd) -> None:
        """What the events' own latencies are, by cause: one cycle of each instruction is its issue."""
        totals = crowd.phase.counts.sum(axis=0)
        rest = crowd.demands.by_class - totals * TICKS
        causes = {
            Spent.LATENCY: (Instruction.INTEGER, Instruction.FLOAT),
            Spent.SCRATCHPAD: (Instruction.SCRATCHPAD,),
            Spent.ATOMIC: (Instruction.ATOMIC, Instruction.REMOTE_ATOMIC),
            Spent.MEMORY: (Instruction.LOAD, Instruction.STORE),
        }
        self.spent[Spent.ISSUE] += int(totals.sum()) * TICKS
        for cause, classes in causes.items():
            self.spent[cause] += sum(int(rest[each]) for each in classes)
        self.load_ticks += int(rest[Instruction.LOAD])


def _at_home(stage: Stage, core: int) -> Iterator[Unit]:
    assert stage.homes is not None
    return iter([unit for unit, home in zip(stage.units, stage.homes, strict=True) if home == core])
