"""A program as integer tables, the form both readers of it work on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.program import Command, Loop, Node, Program, Stall

RUN, LOOP, END = 0, 1, 2
CAUSES = list(Stall)
_CAUSE = {cause: number for number, cause in enumerate(CAUSES)}
Table = NDArray[np.int64]


@dataclass(frozen=True)
class Tables:
    """`code` has a row (operation, argument) an instruction: RUN command, LOOP count, END loop's first row.

    `commands` has a row (engine, ticks, latency, cause) a command; `takes`, `frees`, `fills` the buffers of each,
    filled up with -1. `slots` are the buffers' sizes. `uses_engine` and `uses_buffer` say, for the loop that begins
    in a row of `code`, what it touches; `can_jump` is false where it shares a buffer with an engine outside it.
    """

    engines: list[str]
    lead: int
    code: Table
    commands: Table
    takes: Table
    frees: Table
    fills: Table
    slots: Table
    uses_engine: Table
    uses_buffer: Table
    can_jump: Table
    sources: list[Command]


def tabulate(program: Program) -> Tables:
    """The tables of a program. Raises ValueError where two engines fill, take or free one buffer."""
    writer = _Writer(program)
    writer.write(program.body)
    return writer.tables(program)


class _Writer:
    def __init__(self, program: Program) -> None:
        self.buffers = {buffer.name: number for number, buffer in enumerate(program.buffers)}
        self.engines: dict[str, int] = {program.lead: 0}
        self.numbers: dict[int, int] = {}  # by identity: the program holds every command, and writes most of them once
        self.commands: list[Command] = []
        self.owner: dict[tuple[str, str], str] = {}
        self.code: list[tuple[int, int]] = []
        self.touched: dict[int, set[int]] = {}

    def write(self, body: tuple[Node, ...]) -> set[int]:
        inside: set[int] = set()
        for node in body:
            if isinstance(node, Loop):
                inside |= self._loop(node)
            else:
                inside.add(self._command(node))
        return inside

    def _loop(self, loop: Loop) -> set[int]:
        if loop.count < 1:
            return set()
        start = len(self.code)
        self.code.append((LOOP, loop.count))
        inside = self.write(loop.body)
        self.code.append((END, start))
        self.touched[start] = inside
        return inside

    def _command(self, command: Command) -> int:
        number = self.numbers.get(id(command))
        if number is None:
            number = self.numbers[id(command)] = len(self.commands)
            self.commands.append(command)
            self.engines.setdefault(command.engine, len(self.engines))
            self._claim(command)
        self.code.append((RUN, number))
        return number

    def _claim(self, command: Command) -> None:
        for use, names in (("takes", command.takes), ("frees", command.frees), ("fills", command.fills)):
            for name in names:
                owner = self.owner.setdefault((use, name), command.engine)
                if owner != command.engine:
                    raise ValueError(f"buffer {name}: both {owner} and {command.engine} {use[:-1]} its slots")

    def _padded(self, lists: list[tuple[str, ...]]) -> Table:
        width = max(1, max(map(len, lists), default=1))
        rows = [[self.buffers[name] for name in names] + [-1] * (width - len(names)) for names in lists]
        return np.array(rows, dtype=np.int64).reshape(len(lists), width)

    def tables(self, program: Program) -> Tables:
        commands = self.commands
        uses_engine = np.zeros((len(self.code), len(self.engines)), dtype=np.int64)
        uses_buffer = np.zeros((len(self.code), max(1, len(self.buffers))), dtype=np.int64)
        can_jump = np.zeros(len(self.code), dtype=np.int64)
        for start, inside in self.touched.items():
            engines = {commands[number].engine for number in inside}
            names = {name for number in inside for name in _touches(commands[number])}
            sharers = {owner for (_, name), owner in self.owner.items() if name in names}
            uses_engine[start, [self.engines[name] for name in engines]] = 1
            uses_buffer[start, [self.buffers[name] for name in names]] = 1
            can_jump[start] = sharers <= engines
        rows = [(self.engines[c.engine], c.ticks, c.latency, _CAUSE[c.cause]) for c in commands]
        return Tables(
            engines=list(self.engines),
            lead=0,
            code=np.array(self.code, dtype=np.int64).reshape(-1, 2),
            commands=np.array(rows, dtype=np.int64).reshape(-1, 4),
            takes=self._padded([c.takes for c in commands]),
            frees=self._padded([c.frees for c in commands]),
            fills=self._padded([c.fills for c in commands]),
            slots=np.array([buffer.slots for buffer in program.buffers] or [1], dtype=np.int64),
            uses_engine=uses_engine,
            uses_buffer=uses_buffer,
            can_jump=can_jump,
            sources=commands,
        )


def _touches(command: Command) -> tuple[str, ...]:
    return (*command.takes, *command.frees, *command.fills)
