"""A program as integer tables, the form both readers of it work on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.program import Command, Loop, Node, Program, Stall

RUN, LOOP, END = 0, 1, 2
MOST = 62  # engines, buffers: a bit each of a signed 64-bit word
CAUSES = list(Stall)
_CAUSE = {cause: number for number, cause in enumerate(CAUSES)}
Table = NDArray[np.int64]


@dataclass(frozen=True)
class Tables:
    """`code` has a row (operation, argument) an instruction: RUN command, LOOP count, END loop's first row.

    `commands` has a row (engine, ticks, latency, cause) a command; `takes`, `frees`, `fills` the buffers of each,
    filled up with -1. `slots` are the buffers' sizes. `loops` has, for the loop that begins in a row of `code`, the
    engines and the buffers it touches as bits, and 1 where no engine outside it touches those buffers.
    """

    engines: list[str]
    lead: int
    code: Table
    commands: Table
    takes: Table
    frees: Table
    fills: Table
    slots: Table
    loops: Table
    sources: list[Command]


def tabulate(program: Program) -> Tables:
    """The tables of a program. Raises ValueError where two engines fill, take or free one buffer."""
    writer = _Writer(program)
    writer.write(program.body)
    if max(len(writer.engines), len(writer.buffers)) > MOST:
        raise ValueError(f"a program has at most {MOST} engines and {MOST} buffers")
    return writer.tables(program)


class _Writer:
    """Walks a program once. A loop's engines and buffers are gathered as bits, so that nesting is an `or`."""

    def __init__(self, program: Program) -> None:
        self.buffers = {buffer.name: number for number, buffer in enumerate(program.buffers)}
        self.engines: dict[str, int] = {program.lead: 0}
        self.numbers: dict[int, int] = {}  # by identity: the program holds every command, and writes most of them once
        self.commands: list[Command] = []
        self.slots: list[tuple[list[int], list[int], list[int]]] = []
        self.bits: list[tuple[int, int]] = []  # engine and buffers of each command
        self.owners: list[dict[int, int]] = [{}, {}, {}]  # engine by buffer, for takes, frees, fills
        self.code: list[tuple[int, int]] = []
        self.loops: dict[int, tuple[int, int]] = {}

    def write(self, body: tuple[Node, ...]) -> tuple[int, int]:
        engines = buffers = 0
        for node in body:
            inner = self._loop(node) if isinstance(node, Loop) else self._command(node)
            engines |= inner[0]
            buffers |= inner[1]
        return engines, buffers

    def _loop(self, loop: Loop) -> tuple[int, int]:
        if loop.count < 1:
            return 0, 0
        start = len(self.code)
        self.code.append((LOOP, loop.count))
        self.loops[start] = self.write(loop.body)
        self.code.append((END, start))
        return self.loops[start]

    def _command(self, command: Command) -> tuple[int, int]:
        number = self.numbers.get(id(command))
        if number is None:
            number = self._enter(command)
        self.code.append((RUN, number))
        return self.bits[number]

    def _enter(self, command: Command) -> int:
        number = self.numbers[id(command)] = len(self.commands)
        engine = self.engines.setdefault(command.engine, len(self.engines))
        numbers = self.buffers
        takes, frees, fills = (
            [numbers[name] for name in names] for names in (command.takes, command.frees, command.fills)
        )
        used = (takes, frees, fills)
        touched = 0
        for owner, buffers in zip(self.owners, used, strict=True):
            for buffer in buffers:
                touched |= 1 << buffer
                if owner.setdefault(buffer, engine) != engine:
                    raise ValueError(f"buffer {buffer}: {command.engine} is not the only engine to use it so")
        self.commands.append(command)
        self.slots.append(used)
        self.bits.append((1 << engine, touched))
        return number

    def _padded(self, use: int) -> Table:
        lists = [used[use] for used in self.slots]
        width = max(1, max(map(len, lists), default=1))
        return np.array([each + [-1] * (width - len(each)) for each in lists], dtype=np.int64).reshape(-1, width)

    def _loops(self) -> Table:
        """A row a line of code: what the loop that begins there touches, and whether it shares that with others."""
        sharers = [0] * len(self.buffers)
        for owner in self.owners:
            for buffer, engine in owner.items():
                sharers[buffer] |= 1 << engine
        table = np.zeros((len(self.code), 3), dtype=np.int64)
        for start, (engines, buffers) in self.loops.items():
            outside = [sharer & ~engines for number, sharer in enumerate(sharers) if buffers >> number & 1]
            table[start] = engines, buffers, not any(outside)
        return table

    def tables(self, program: Program) -> Tables:
        rows = [(self.engines[c.engine], c.ticks, c.latency, _CAUSE[c.cause]) for c in self.commands]
        return Tables(
            engines=list(self.engines),
            lead=0,
            code=np.array(self.code, dtype=np.int64).reshape(-1, 2),
            commands=np.array(rows, dtype=np.int64).reshape(-1, 4),
            takes=self._padded(0),
            frees=self._padded(1),
            fills=self._padded(2),
            slots=np.array([buffer.slots for buffer in program.buffers] or [1], dtype=np.int64),
            loops=self._loops(),
            sources=self.commands,
        )
