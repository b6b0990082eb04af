"""When every command of a program starts, for pictures and traces: plain Python, sampled where rounds repeat.

The same rules as the default reader (`maxplus.py`) without blame for waits. Rounds of a loop that differ from earlier
ones by a shift of time alone are not listed; a `Gap` stands for them. Its last end is the program's cycles, exactly.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from simulator.program import Command, Loop, Node, Program


@dataclass(frozen=True)
class Start:
    """A command and the tick it starts at."""

    command: Command
    tick: int

    @property
    def end(self) -> int:
        return self.tick + self.command.ticks


@dataclass(frozen=True)
class Gap:
    """`rounds` of a loop between two ticks, each as rounds before; `commands` that are not listed for it."""

    tick: int
    end: int
    rounds: int
    commands: int


Event = Start | Gap


def starts(program: Program, sampled: bool = True) -> Iterator[Event]:
    """Every command in program order with its start; with `sampled`, repeating rounds as gaps.

    Raises ValueError where a command waits for a slot that nobody can give.
    """
    return _Reader(program, sampled).walk(program.body)


class _Reader:
    """The state of engines and slots while a program is walked."""

    def __init__(self, program: Program, sampled: bool) -> None:
        self.sampled = sampled
        self.free_at: dict[str, int] = {}
        self.slots = {
            (buffer.name, filled): deque([0] * (0 if filled else buffer.slots))
            for buffer in program.buffers
            for filled in (False, True)
        }
        self._touched: dict[int, tuple[frozenset[str], frozenset[str]]] = {}
        self._engines_of: dict[str, set[str]] = {}
        for command, _ in program.commands():
            for buffer in (*command.takes, *command.fills, *command.frees):
                self._engines_of.setdefault(buffer, set()).add(command.engine)

    def walk(self, body: tuple[Node, ...]) -> Iterator[Event]:
        for node in body:
            if isinstance(node, Loop):
                yield from self._loop(node)
            else:
                yield self._carry_out(node)

    def _loop(self, loop: Loop) -> Iterator[Event]:
        engines, buffers = self._touch(loop)
        closed = self.sampled and all(self._engines_of[buffer] <= engines for buffer in buffers)
        done, saved_round, saved_at = 0, 0, 0
        saved: tuple[object, ...] = ()
        while done < loop.count:
            yield from self.walk(loop.body)
            done += 1
            if not closed or done == loop.count:
                continue
            now, state = self._state(engines, buffers)
            if saved_round and state == saved:
                period = done - saved_round
                jumps = (loop.count - done) // period
                if jumps:
                    self._shift(jumps * (now - saved_at), engines, buffers)
                    commands = jumps * period * _commands(loop.body)
                    yield Gap(now, now + jumps * (now - saved_at), jumps * period, commands)
                done, saved_round = done + jumps * period, 0
            elif done & (done - 1) == 0:
                saved_round, saved, saved_at = done, state, now

    def _carry_out(self, command: Command) -> Start:
        begin = self.free_at.get(command.engine, 0)
        for names, filled in ((command.takes, True), (command.fills, False)):
            for name in names:
                slots = self.slots[name, filled]
                if not slots:
                    raise ValueError(f"the program can never go on at a command of {command.engine}")
                begin = max(begin, slots.popleft())
        end = self.free_at[command.engine] = begin + command.ticks
        for name in command.fills:
            self.slots[name, True].append(end + command.latency)
        for name in command.frees:
            self.slots[name, False].append(end)
        return Start(command, begin)

    def _state(self, engines: frozenset[str], buffers: frozenset[str]) -> tuple[int, tuple[object, ...]]:
        """The latest engine's time, and all a loop can see relative to it; slots that can hold nobody up are alike."""
        times = [self.free_at.get(engine, 0) for engine in sorted(engines)]
        latest, earliest = max(times), min(times)
        seen = [
            tuple(max(time, earliest) - latest for time in self.slots[name, filled])
            for name in sorted(buffers)
            for filled in (False, True)
        ]
        return latest, (tuple(time - latest for time in times), tuple(seen))

    def _shift(self, by: int, engines: frozenset[str], buffers: frozenset[str]) -> None:
        for engine in engines:
            self.free_at[engine] = self.free_at.get(engine, 0) + by
        for name in buffers:
            for filled in (False, True):
                self.slots[name, filled] = deque(time + by for time in self.slots[name, filled])

    def _touch(self, loop: Loop) -> tuple[frozenset[str], frozenset[str]]:
        """Engines and buffers a loop uses."""
        known = self._touched.get(id(loop))
        if known is None:
            commands = list(_flat(loop.body))
            used = {name for each in commands for name in (*each.takes, *each.fills, *each.frees)}
            known = self._touched[id(loop)] = (frozenset(each.engine for each in commands), frozenset(used))
        return known


def _flat(body: tuple[Node, ...]) -> Iterator[Command]:
    for node in body:
        if isinstance(node, Loop):
            yield from _flat(node.body)
        else:
            yield node


def _commands(body: tuple[Node, ...]) -> int:
    return sum(node.count * _commands(node.body) if isinstance(node, Loop) else 1 for node in body)
