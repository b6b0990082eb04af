"""The fabric in time: a process a core, which makes its phases and waits for their threads (`threads.py`).

Shared resources (pipelines, banks, atomic engines, DMA engines, network ports, links, memory) serve in the order they
are asked, an event's whole demand at once: what a thread needs in an event is counted beforehand, and its time is the
longest of being alone and of being served everywhere. Nothing is ever served above its rate. What this leaves out is
the order of single accesses inside events; `tests/spgemm/test_interleaved.py` measures what that changes.
"""

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from simulator.fabric.clockwork import Clockwork
from simulator.fabric.outcome import EventRecord, FabricTiming, Record, Spent
from simulator.fabric.program import Instruction, Move, Phase, Stage, Unit
from simulator.fabric.rates import TICKS, Demands, Rates
from simulator.machines.piuma import FabricArch

Process = Generator[int | None, None, None]  # yields the tick at which it goes on, None where threads let it go on
CAUSE = (Spent.PIPELINE, Spent.SCRATCHPAD, Spent.ATOMIC, Spent.MEMORY, Spent.NETWORK, Spent.NETWORK)  # as `SHARED`


@dataclass
class Core:
    """A core, when each of its scratchpad buffers is free again, and when it had no more work in a stage."""

    number: int
    buffers: list[int] = field(default_factory=list)
    end: int = 0


class FabricRun:
    """One run of some stages. `trace` keeps every event, for pictures of small runs."""

    def __init__(self, arch: FabricArch, trace: bool = False) -> None:
        self.arch, self.rates = arch, Rates(arch)
        self.clockwork = Clockwork(arch)
        self.cores = [Core(number) for number in range(arch.cores)]
        self.spent: dict[Spent, int] = dict.fromkeys(Spent, 0)
        self.instructions = np.zeros(len(Instruction), dtype=np.int64)
        self.serial_instructions = 0
        self.traffic: Counter[tuple[str, str]] = Counter()
        self.moves = self.load_ticks = 0
        self.records: list[Record] = []
        self.trace: list[EventRecord] = []
        self.traced = trace
        self.events = 0

    def run(self, stages: Sequence[Stage]) -> FabricTiming:
        """Carry out the stages, one after the other."""
        for stage in stages:
            self._stage(stage)
        return FabricTiming(
            ticks=self.clockwork.now,
            threads=self.arch.cores * self.arch.threads_per_core,
            spent=self.spent,
            load_ticks=self.load_ticks,
            instructions=self.instructions.tolist(),
            serial_instructions=self.serial_instructions,
            traffic=dict(self.traffic),
            moves=self.moves,
            used=self.clockwork.used(),
            records=self.records,
            events=self.events,
            trace=self.trace,
        )

    def _stage(self, stage: Stage) -> None:
        self.clockwork.reset("units", 0)
        shared, processes = iter(stage.units), []
        for core in self.cores:
            core.buffers = [self.clockwork.now] * stage.buffers
            processes.append(self._core(stage, core, shared if stage.homes is None else _at_home(stage, core.number)))
        for core, process in zip(self.cores, processes, strict=True):
            self._go_on(core.number, process)
        while (turn := self.clockwork.next_core()) is not None:
            self._go_on(turn, processes[turn])
        early = sum(self.clockwork.now - core.end for core in self.cores)
        self.spent[Spent.IDLE] += early * self.arch.threads_per_core

    def _go_on(self, number: int, process: Process) -> None:
        tick = next(process, None)
        if tick is not None:
            self.clockwork.wait(number, tick)

    def _core(self, stage: Stage, core: Core, units: Iterator[Unit]) -> Process:
        """A core takes units until none is left, and waits for what its DMA engine still moves."""
        turn = 0
        while True:
            if stage.homes is None:
                yield from self._take_unit()
            unit = next(units, None)
            if unit is None:
                break
            place = turn % stage.buffers
            yield from self._wait(core.buffers[place], Spent.DMA)
            free = self.clockwork.now
            for phase in unit.phases():
                yield from self._phase(stage, core, phase)
                free = max([free, *(self._move(stage, core, move) for move in phase.moves)])
            core.buffers[place] = free
            turn += 1
        yield from self._wait(max(core.buffers), Spent.DMA)
        core.end = self.clockwork.now

    def _wait(self, until: int, cause: Spent) -> Process:
        """All threads of a core wait."""
        ticks = until - self.clockwork.now
        if ticks > 0:
            self.spent[cause] += ticks * self.arch.threads_per_core
            yield until

    def _take_unit(self) -> Process:
        """A fetch-add on a counter in memory."""
        alone = int(self.rates.latencies[Instruction.REMOTE_ATOMIC])
        turn = self.clockwork.serve("units", 0, self.arch.atomic.same_address_cycles * TICKS)
        self.serial_instructions += 1
        yield from self._wait(max(turn, self.clockwork.now + alone), Spent.SERIAL)

    def _phase(self, stage: Stage, core: Core, phase: Phase) -> Process:
        began, working, counted = self.clockwork.now, 0, int(phase.totals.sum())
        if phase.serial:
            yield from self._wait(began + self._serial_ticks(phase), Spent.SERIAL)
            self.serial_instructions += counted
        else:
            working = yield from self._threads(core, phase)
            self.instructions += phase.totals
        self.traffic.update(phase.traffic)
        moved = int(self.rates.memory_bytes(phase.totals))
        if phase.fetches is not None:
            fetched = int(phase.fetches[:, 0].sum())
            self.moves += fetched
            moved += fetched
        now = self.clockwork.now
        self.records.append(Record(stage.name, phase.name, core.number, began, now, working, counted, moved))

    def _serial_ticks(self, phase: Phase) -> int:
        """On a single-threaded pipeline, which takes each instruction at its own latency."""
        latencies = self.rates.latencies.copy()
        latencies[Instruction.INTEGER] = TICKS * self.arch.pipeline.stp_integer_cycles
        moved = int(self.rates.memory_bytes(phase.totals))
        self.clockwork.serve("memory", 0, self.rates.memory_ticks(moved))
        return int(phase.totals @ latencies)

    def _threads(self, core: Core, phase: Phase) -> Generator[int | None, None, int]:
        """All events of a phase, and the barrier. Returns the ticks threads spent in events."""
        demands, began = self.rates.demands(phase), self.clockwork.now
        self.clockwork.begin(core.number, phase, demands.of_events)
        if len(phase.counts):
            yield None
        crowd = self.clockwork.crowd(core.number)
        self.spent[Spent.IDLE] += (self.clockwork.now - began) * self.arch.threads_per_core - crowd.worked
        self.spent[Spent.ATOMIC if phase.fetches is None else Spent.DMA] += crowd.waited
        for cause, ticks in zip(CAUSE, crowd.longer, strict=True):
            self.spent[cause] += ticks
        self._spend_alone(phase, demands)
        self.events += len(phase.counts)
        if self.traced:
            events = self.clockwork.events(core.number, len(phase.counts))
            self.trace += [EventRecord(phase.name, core.number, *each) for each in events]
        return crowd.worked

    def _move(self, stage: Stage, core: Core, move: Move) -> int:
        """Begin a move. Returns when it is done."""
        now = self.clockwork.now
        self.traffic[(move.kind, move.tensor)] += move.size_bytes
        moved = move.size_bytes if move.kind.startswith("dram") else 0
        self.moves += moved
        self.clockwork.serve("scratchpad", core.number, self._pad_ticks(move.size_bytes))
        ticks = self.rates.carrying(move.size_bytes, move.descriptors)
        done = self.clockwork.transfer(core.number, ticks if move.kind.startswith("dram") else ticks[:1])
        self.records.append(Record(stage.name, "dma", core.number, now, done, 0, 0, moved))
        return done

    def _pad_ticks(self, size_bytes: int) -> int:
        pad = self.arch.scratchpad
        return -(-size_bytes * TICKS // (8 * pad.banks * pad.ports))

    def _spend_alone(self, phase: Phase, demands: Demands) -> None:
        """What the events' own latencies are, by cause: one cycle of each instruction is its issue."""
        rest = (demands.by_class - phase.totals * TICKS).tolist()
        causes = {
            Spent.LATENCY: (Instruction.INTEGER, Instruction.FLOAT),
            Spent.SCRATCHPAD: (Instruction.SCRATCHPAD,),
            Spent.ATOMIC: (Instruction.ATOMIC, Instruction.REMOTE_ATOMIC),
            Spent.MEMORY: (Instruction.LOAD, Instruction.STORE),
        }
        self.spent[Spent.ISSUE] += int(phase.totals.sum()) * TICKS
        for cause, classes in causes.items():
            self.spent[cause] += sum(rest[each] for each in classes)
        self.load_ticks += rest[Instruction.LOAD]


def _at_home(stage: Stage, core: int) -> Iterator[Unit]:
    assert stage.homes is not None
    return iter([unit for unit, home in zip(stage.units, stage.homes, strict=True) if home == core])
