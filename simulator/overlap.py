"""Ops that overlap: when each op of a step is done, where the next one's first loads need not wait for its end.

The order in which engines are used stays fixed. Only one thing changes between two programs in a row: the last store of
the first one stands behind those first loads of the second one that need nothing from it, and engines go on without a
barrier. A load waits for the memory it goes to, which the first program gives up when all its work but that store is
done; results of the second one wait for the store where they lie in the same memory.

Such a pair never takes longer than with a barrier. With one, store and loads follow each other from the moment t on, at
which the first program's last result is there. Here the loads come first, from t at the latest; then loads and store
are done no later than before, and the loads earlier.

What a step takes is worked out program by program: each is run from the state in which the one before left the engines,
written in front of it as commands. So any reader can run it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from simulator.program import Buffer, Command, Loop, Node, Program, Stall
from simulator.timing import Timing

MEMORY_ENGINE = "dram"
BEFORE = "before"  # an engine that stands for the program before
RELEASED, DONE, STORED = "before.released", "before.done", "before.stored"
NEVER_EARLY = "partial-sum"  # what a program itself has to store first
Ends = Mapping[str, int]  # the tick at which each engine is free
Reader = Callable[[Program], Ends]


@dataclass(frozen=True)
class Link:
    """A program of a step. `waits`: tensors whose loads need the program before; None where all of it does."""

    program: Program
    waits: frozenset[str] | None


@dataclass(frozen=True)
class _Left:
    """What a program leaves: when its engines are free, its work is done, its last result is there; and its store."""

    ends: Ends
    computed: int
    ready: int
    store: Command
    memories: frozenset[str]
    stored_in: frozenset[str]


def done(links: Sequence[Link], read: Reader) -> list[int]:
    """The tick at which each program's last result is stored, in order: the last one is when the step is done."""
    found: list[int] = []
    left: _Left | None = None
    for number, link in enumerate(links):
        if left is None or link.waits is None:
            if left is not None:
                found.append(_stored(left, left.ends.get(MEMORY_ENGINE, 0)))
            base = found[-1] if found else 0
            program, ahead = _without_store(link.program), None
        else:
            program, ahead, base = _behind(left, link)
            stored = {engine: base + end for engine, end in read(ahead).items()}
            found.append(stored[MEMORY_ENGINE])
        ends = {**(left.ends if left else {}), **{engine: base + end for engine, end in read(program).items()}}
        left = _leaves(link.program, ends)
        if left is None:  # nothing to be stored: whatever follows waits for all engines
            found.append(max(ends.values(), default=base))
        elif number == len(links) - 1:
            found.append(_stored(left, left.ends.get(MEMORY_ENGINE, 0)))
    return found


def adjusted(timing: Timing, cycles: int) -> Timing:
    """An op's timing alone, as it is in a step in which it takes so many cycles: busy + stalls = cycles.

    What it saves is taken from its waits, and then from its work, which was done behind the op before; what its last
    store waits for loads of the next op is a wait for DRAM.
    """
    busy, stalls = timing.busy, dict(timing.stalls)
    saved = timing.cycles - cycles
    if saved < 0:
        stalls[Stall.MEMORY] = stalls.get(Stall.MEMORY, 0) - saved
    for stall in sorted(stalls, key=lambda each: (each != Stall.MEMORY, each)) if saved > 0 else ():
        taken = min(saved, stalls[stall])
        stalls[stall] -= taken
        saved -= taken
    return replace(timing, cycles=cycles, busy=busy - max(0, saved), stalls=stalls)


def _without_store(program: Program) -> Program:
    return replace(program, body=program.body[:-1]) if _last_store(program) else program


def _last_store(program: Program) -> Command | None:
    """The last command, if it takes a result to DRAM."""
    last = program.body[-1] if program.body else None
    return last if isinstance(last, Command) and last.engine == MEMORY_ENGINE and last.takes else None


def _stored(left: _Left, free: int) -> int:
    return max(free, left.ready) + left.store.ticks


def _leaves(program: Program, ends: Ends) -> _Left | None:
    store = _last_store(program)
    if store is None:
        return None
    made = [_last(program.body, name) for name in store.takes]
    ready = max(ends[each.engine] + each.latency for each in made if each)
    used = {command.engine for command, _ in program.commands()} - {MEMORY_ENGINE}
    memories = {buffer.name: buffer.memory for buffer in program.buffers}
    return _Left(
        ends=ends,
        computed=max(ends[engine] for engine in used),
        ready=ready,
        store=store,
        memories=frozenset(memories.values()) - {""},
        stored_in=frozenset(memories[name] for name in store.takes) - {""},
    )


def _last(body: Sequence[Node], buffer: str) -> Command | None:
    """The last command that fills a buffer."""
    for node in reversed(body):
        if isinstance(node, Loop):
            found = _last(node.body, buffer) if node.count > 0 else None
        else:
            found = node if buffer in node.fills else None
        if found is not None:
            return found
    return None


def _behind(left: _Left, link: Link) -> tuple[Program, Program, int]:
    """The program behind the one before, its beginning up to the store of that, and the tick at which both begin."""
    program = link.program
    engines = {MEMORY_ENGINE, program.lead, *(command.engine for command, _ in program.commands())}
    used = {engine: left.ends.get(engine, 0) for engine in engines}
    base = min(*used.values(), left.computed, left.ready)
    before = tuple(Command(engine, end - base, Stall.ARRAY) for engine, end in sorted(used.items()))
    earlier = base
    for tick, token in sorted([(left.computed, RELEASED), (left.ready, DONE)]):
        before += (Command(BEFORE, tick - earlier, Stall.ARRAY, fills=(token,)),)
        earlier = tick
    memories = {buffer.name: buffer.memory for buffer in program.buffers}
    placed = frozenset(name for name, memory in memories.items() if memory in left.stored_in)
    unawaited = not any(placed.intersection(each.fills) for each, _ in program.commands() if _makes(each))
    joint = _Joint(
        store=left.store._replace(takes=(DONE,), frees=(), fills=(STORED,)),
        waits=link.waits or frozenset(),
        # a result that waits for the store needs one load of each buffer first, and must not wait for more of them
        room={buffer.name: buffer.slots if unawaited else 1 for buffer in program.buffers},
        released=frozenset(name for name, memory in memories.items() if memory in left.memories),
        stored=placed,
        is_awaited=unawaited,
    )
    body = tuple(joint.joined(_without_store(program).body))
    if not joint.is_stored:  # it loads nothing that has to wait
        body = (*body, joint.store)
    buffers = (*program.buffers, *(Buffer(name, 1) for name in (RELEASED, DONE, STORED)))
    whole = Program(program.lead, buffers, (*before, *body))
    ahead = Program(program.lead, buffers, (*before, *joint.ahead, joint.store))
    return whole, ahead, base


def _makes(command: Command) -> bool:
    return command.engine != MEMORY_ENGINE


@dataclass
class _Joint:
    """Writes a program's first rounds out until the store of the program before, and who waits for it, are placed."""

    store: Command
    waits: frozenset[str]
    room: dict[str, int]  # slots of each buffer that are not filled yet
    released: frozenset[str]  # buffers in memories of the program before
    stored: frozenset[str]  # buffers where its last result lies
    is_awaited: bool
    ahead: list[Command] = field(default_factory=list)
    is_stored: bool = False
    is_released: bool = False

    def joined(self, body: Sequence[Node]) -> Iterator[Node]:
        """The body, with the store behind the loads that may come first."""
        for node in body:
            if self.is_stored and self.is_awaited:
                yield node
            elif isinstance(node, Loop):
                yield from self._rounds(node)
            else:
                yield from self._command(node)

    def _rounds(self, loop: Loop) -> Iterator[Node]:
        left = loop.count
        while left > 0 and not (self.is_stored and self.is_awaited):
            yield from self.joined(loop.body)
            left -= 1
        if left > 0:
            yield Loop(left, loop.body)

    def _command(self, command: Command) -> Iterator[Command]:
        comes_first = not self.is_stored and not _makes(command) and self._may_come_first(command)
        takes_place = not self.is_awaited and _makes(command) and bool(self.stored.intersection(command.fills))
        if comes_first:
            command = self._first(command)
            self.ahead.append(command)
        elif not self.is_stored and (takes_place or not _makes(command)):
            self.is_stored = True
            yield self.store
        if takes_place:
            self.is_awaited = True
            command = command._replace(takes=(*command.takes, STORED))
        yield command

    def _may_come_first(self, load: Command) -> bool:
        tensors = {action.tensor for action in load.actions if action.kind == f"{MEMORY_ENGINE}.read"}
        has_room = all(self.room[name] > 0 for name in load.fills)
        return bool(load.fills) and has_room and not tensors & {*self.waits, NEVER_EARLY}

    def _first(self, load: Command) -> Command:
        for name in load.fills:
            self.room[name] -= 1
        if self.is_released or not self.released.intersection(load.fills):
            return load
        self.is_released = True
        return load._replace(takes=(*load.takes, RELEASED))
