"""A program as one row of integers, the form the default reader of it works on."""

from dataclasses import dataclass

from simulator.program import Command, Loop, Node, Program, Stall

RUN, LOOP, END = 0, 1, 2
HEAD = 5  # numbers in front: engines, buffers, lines of code, commands, deepest nest of loops
LINE = 4  # numbers a line of code
COMMAND = 7  # numbers a command
DIGIT = 6  # bits a buffer in a list of buffers
MOST = 62  # engines, buffers: a bit each of a signed 64-bit word
LONGEST = 10  # buffers a command takes, fills or frees
Uses = tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]  # a command's engine, and takes, fills, frees


@dataclass(frozen=True)
class Tables:
    """`words` is the head, then slots a buffer, then lines of code, then commands. The lead engine has number 0.

    `causes` are the stalls that the commands name, by their numbers; `engines` the engines.

    A line of code is (RUN, command, 0, 0), (LOOP, count, 0, 0) or (END, its loop's first line, engines, buffers): the
    engines and buffers the loop touches as bits, zero where other engines touch those buffers too.
    A command is (engine, ticks, latency, cause, takes, fills, frees): buffers in order, one more than their numbers,
    as digits of DIGIT bits, the first the lowest.
    """

    words: list[int]
    sources: list[Command]
    causes: list[Stall]
    engines: list[str]


def tabulate(program: Program) -> Tables:
    """The tables of a program. Raises ValueError where two engines fill, take or free one buffer."""
    if len(program.buffers) > MOST:
        raise ValueError(f"a program has at most {MOST} engines and {MOST} buffers")
    writer = _Writer(program)
    writer.write(program.body, 0)
    return Tables(writer.words(program), writer.sources, list(writer.causes), list(writer.engines))


class _Writer:
    """Walks a program once. A loop's engines and buffers are gathered as bits, so that nesting is an `or`."""

    def __init__(self, program: Program) -> None:
        self.buffers = {buffer.name: number for number, buffer in enumerate(program.buffers)}
        self.engines: dict[str, int] = {program.lead: 0}
        self.numbers: dict[int, int] = {}  # by identity: the program holds every command, and writes most of them once
        self.sources: list[Command] = []
        self.causes: dict[Stall, int] = {}
        self.commands: list[int] = []
        self.bits: list[tuple[int, int]] = []  # engine and buffers of each command
        self.uses: dict[Uses, tuple[int, int, tuple[int, ...]]] = {}
        self.sharers = [0] * len(self.buffers)  # engines that touch each buffer, as bits
        self.owners: tuple[dict[int, int], ...] = ({}, {}, {})  # engine by buffer, for takes, fills, frees
        self.code: list[int] = []
        self.depth = 0

    def write(self, body: tuple[Node, ...], depth: int) -> tuple[int, int]:
        engines = buffers = 0
        for node in body:
            if isinstance(node, Loop):
                inner = self._loop(node, depth + 1)
            else:
                number = self.numbers.get(id(node))
                if number is None:
                    number = self._enter(node)
                self.code += (RUN, number, 0, 0)
                inner = self.bits[number]
            engines |= inner[0]
            buffers |= inner[1]
        return engines, buffers

    def _loop(self, loop: Loop, depth: int) -> tuple[int, int]:
        if loop.count < 1:
            return 0, 0
        self.depth = max(self.depth, depth)
        start = len(self.code) // LINE
        self.code += (LOOP, loop.count, 0, 0)
        engines, buffers = self.write(loop.body, depth)
        self.code += (END, start, engines, buffers)
        return engines, buffers

    def _enter(self, command: Command) -> int:
        number = self.numbers[id(command)] = len(self.sources)
        uses = (command.engine, command.takes, command.fills, command.frees)
        known = self.uses.get(uses)
        if known is None:
            known = self.uses[uses] = self._used(uses)
        engine, touched, digits = known
        cause = self.causes.setdefault(command.cause, len(self.causes))
        self.commands += (engine, command.ticks, command.latency, cause, *digits)
        self.sources.append(command)
        self.bits.append((1 << engine, touched))
        return number

    def _used(self, uses: Uses) -> tuple[int, int, tuple[int, ...]]:
        """The engine's number, the buffers touched as bits, and the lists of buffers as digits."""
        engine = self.engines.setdefault(uses[0], len(self.engines))
        if engine >= MOST or max(map(len, uses[1:])) > LONGEST:
            raise ValueError(f"a program has at most {MOST} engines, and a command at most {LONGEST} buffers a use")
        touched, digits = 0, []
        for owner, names in zip(self.owners, uses[1:], strict=True):
            packed = 0
            for place, name in enumerate(names):
                buffer = self.buffers[name]
                if owner.setdefault(buffer, engine) != engine:
                    raise ValueError(f"buffer {buffer}: {uses[0]} is not the only engine to use it so")
                packed |= buffer + 1 << DIGIT * place
                touched |= 1 << buffer
                self.sharers[buffer] |= 1 << engine
            digits.append(packed)
        return engine, touched, tuple(digits)

    def words(self, program: Program) -> list[int]:
        head = (len(self.engines), len(self.buffers), len(self.code) // LINE, len(self.sources), self.depth)
        slots = [buffer.slots for buffer in program.buffers]
        self._open_shared()
        return [*head, *slots, *self.code, *self.commands]

    def _open_shared(self) -> None:
        """Forget what a loop touches where engines outside it touch the same buffers."""
        code = self.code
        for line in range(0, len(code), LINE):
            if code[line] == END:
                engines, buffers = code[line + 2], code[line + 3]
                if any(sharer & ~engines for number, sharer in enumerate(self.sharers) if buffers >> number & 1):
                    code[line + 2] = code[line + 3] = 0
