"""The exact reader of a program: every command is a SimPy process step, every slot travels through a SimPy store."""

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

import simpy

from simulator.program import Command, Program, Stall, in_order


class Probe(Protocol):
    """Sees every command as it ends."""

    def command(self, command: Command, start: int, end: int) -> None: ...


@dataclass(frozen=True)
class Token:
    """A slot changing hands: usable from `ready` on, and who is to blame for a wait; nobody for what the lead makes."""

    ready: int
    cause: Stall | None


class SlotBuffer:
    """The free and the filled slots of one buffer, each first in, first out."""

    def __init__(self, env: simpy.Environment, slots: int, owner_cause: Stall) -> None:
        self.free = simpy.Store(env)
        self.filled = simpy.Store(env)
        self.free.items.extend(Token(0, owner_cause) for _ in range(slots))


@dataclass
class EngineState:
    """What one engine has done so far, in ticks."""

    end: int = 0
    since: int = 0  # when it was last at work: commands that take no cycles do not count
    last_cause: Stall = Stall.MEMORY
    late: Stall | None = None  # the cause, where the last command waited for its input longer than it worked


class ExactRun:
    """One run of one program, every command an event."""

    def __init__(self, program: Program, probe: Probe | None = None) -> None:
        self.program = program
        self.env = simpy.Environment(0)
        self.probe = probe
        self.buffers = {b.name: SlotBuffer(self.env, b.slots, Stall.ARRAY) for b in program.buffers}
        self.engines = {program.lead: EngineState()}
        self.waits: Counter[Stall] = Counter()
        # by buffer: cycles in which the lead engine could have begun but for a slot of it, whatever else was missing
        self.lacked: Counter[str] = Counter()
        self.amounts: dict[tuple[str, str], int] = {}
        self.busy_ticks = 0
        self.steps = 0

    def run(self) -> int:
        """Cycles from the first command's start to the last one's end. Raises ValueError on a deadlock."""
        for command, _ in self.program.commands():
            self.engines.setdefault(command.engine, EngineState())
        processes = [self.env.process(self._engine(name)) for name in self.engines]
        self.env.run()
        if any(process.is_alive for process in processes):
            raise ValueError("the program can never go on: some engines wait for slots nobody fills or frees")
        last = max(self.engines.values(), key=lambda engine: engine.end)
        self.waits[last.last_cause] += last.end - self.engines[self.program.lead].end
        return last.end

    def ends(self) -> dict[str, int]:
        """The tick at which each engine is done, after the run."""
        return {name: state.end for name, state in self.engines.items()}

    def _engine(self, name: str) -> Generator[simpy.Event, Token, None]:
        state = self.engines[name]
        for command in in_order(self.program.body):
            if command.engine == name:
                yield from self._carry_out(command, state)

    def _carry_out(self, command: Command, state: EngineState) -> Generator[simpy.Event, Token, None]:
        made_by, late = state.late or command.cause, None  # who is to blame for what this command makes
        for buffer in command.takes:
            token, waited = yield from self._wait(self.buffers[buffer].filled, command)
            self._lack(buffer, token, command, state)
            if waited > command.ticks and token.cause:
                made_by = late = token.cause
        for buffer in command.fills:
            token, _ = yield from self._wait(self.buffers[buffer].free, command)
            self._lack(buffer, token, command, state)
        start = self.env.now
        yield self.env.timeout(command.ticks)
        state.end, state.last_cause, state.late = int(self.env.now), made_by, late
        state.since = state.end if command.ticks else state.since
        for buffer in command.fills:
            blame = None if command.engine == self.program.lead else made_by
            self.buffers[buffer].filled.put(Token(state.end + command.latency, blame))
        for buffer in command.frees:
            self.buffers[buffer].free.put(Token(state.end, command.cause))
        self._count(command, int(start), state.end)

    def _lack(self, buffer: str, token: Token, command: Command, state: EngineState) -> None:
        if command.engine == self.program.lead:
            self.lacked[buffer] += max(0, token.ready - state.since)

    def _wait(self, store: simpy.Store, command: Command) -> Generator[simpy.Event, Token, tuple[Token, int]]:
        """Wait for a slot. Returns its token and how long the engine waited for it."""
        since = int(self.env.now)
        token: Token = yield store.get()
        if token.ready > self.env.now:
            yield self.env.timeout(token.ready - self.env.now)
        waited = int(self.env.now) - since
        if command.engine == self.program.lead:
            self.waits[token.cause or command.cause] += waited
        return token, waited

    def _count(self, command: Command, start: int, end: int) -> None:
        self.steps += 1
        for action in command.actions:
            key = (action.kind, action.tensor)
            self.amounts[key] = self.amounts.get(key, 0) + action.amount
        if command.engine == self.program.lead:
            self.busy_ticks += command.ticks
            for stall, ticks in command.inner_stalls:
                self.waits[stall] += ticks
                self.busy_ticks -= ticks
        if self.probe:
            self.probe.command(command, start, end)
