"""A machine's input language: commands on engines, ordered, with loops and the buffers through which they wait.

A program is one linear order of commands. Every engine carries out its own commands in that order, one at a time;
engines wait for each other only through buffers, whose slots are handed round first in, first out. So the order of
use of every shared resource is fixed before the run, and a run is a timed event graph: start times are maxima of
sums, and more bandwidth is never slower.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from simulator import kernel

if TYPE_CHECKING:
    from simulator.timing import Timing


class Stall(str):
    """Why the lead engine of a program did not work; busy + stalls = cycles.

    A stall is its name, "memory"; `words` say it to a reader, "waiting for DRAM". Those below are what our compilers
    know; a compiler that needs another one makes it, and results have a column for each cause that occurred.
    """

    words: str
    FILL_DRAIN: ClassVar["Stall"]  # operands and sums on their way through the array
    LATENCY: ClassVar["Stall"]  # fewer accumulators in turn than the adder is deep
    LINKS: ClassVar["Stall"]  # operand links or buffer ports too narrow
    MEMORY: ClassVar["Stall"]  # DRAM bandwidth or latency
    SORE: ClassVar["Stall"]  # weights still being made sparse
    TRANSPOSE: ClassVar["Stall"]  # operands still being transposed
    SPILL: ClassVar["Stall"]  # partial sums on their way to DRAM and back
    WUVE: ClassVar["Stall"]  # weights still being updated
    ARRAY: ClassVar["Stall"]  # another engine waits for the array
    VECTOR: ClassVar["Stall"]  # vector or special-function units
    NETWORK: ClassVar["Stall"]  # the network between cores
    HOST: ClassVar["Stall"]  # the link to the host
    LAUNCH: ClassVar["Stall"]  # starting the work
    SCRATCHPAD: ClassVar["Stall"]  # latency and banks of a scratchpad
    ATOMIC: ClassVar["Stall"]  # latency and turns of atomic operations
    DMA: ClassVar["Stall"]  # what DMA engines bring, or have still to take away
    SERIAL: ClassVar["Stall"]  # a single-threaded part
    IDLE: ClassVar["Stall"]  # threads without work before a barrier

    def __new__(cls, name: str, words: str) -> "Stall":
        made = super().__new__(cls, name)
        made.words = words
        return made

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]
        """So that a copy, or another process, has the words too."""
        return str(self), self.words


Stall.FILL_DRAIN = Stall("fill_drain", "fill and drain")
Stall.LATENCY = Stall("latency", "pipeline latency")
Stall.LINKS = Stall("links", "operand links and ports")
Stall.MEMORY = Stall("memory", "waiting for DRAM")
Stall.SORE = Stall("sore", "waiting for SORE")
Stall.TRANSPOSE = Stall("transpose", "waiting for the transposer")
Stall.SPILL = Stall("spill", "partial sums spilled")
Stall.WUVE = Stall("wuve", "waiting for WUVE")
Stall.ARRAY = Stall("array", "waiting for the array")
Stall.VECTOR = Stall("vector", "waiting for vector units")
Stall.NETWORK = Stall("network", "waiting for the network")
Stall.HOST = Stall("host", "waiting for the host")
Stall.LAUNCH = Stall("launch", "starting the work")
Stall.SCRATCHPAD = Stall("scratchpad", "waiting for the scratchpad")
Stall.ATOMIC = Stall("atomic", "waiting for atomics")
Stall.DMA = Stall("dma", "waiting for DMA engines")
Stall.SERIAL = Stall("serial", "single-threaded parts")
Stall.IDLE = Stall("idle", "threads without work")
STALLS: tuple[Stall, ...] = tuple(each for each in vars(Stall).values() if isinstance(each, Stall))


class Action(NamedTuple):
    """Something counted, never timed: `amount` of `kind` (bytes for a memory access), for one tensor's sake."""

    kind: str  # "mac", "dram.read", "west.read", ...
    tensor: str  # "input", "weight", "output", ...
    amount: int


class Buffer(NamedTuple):
    """Slots between engines, handed round first in, first out; `slot_bytes` of `memory` each."""

    name: str
    slots: int
    memory: str = ""
    slot_bytes: int = 0


class Command(NamedTuple):
    """One piece of work of one engine.

    It starts when the engine is free, a filled slot of every buffer in `takes` is there and a free slot of every
    buffer in `fills`. It occupies the engine for `ticks`. At its end a slot of every buffer in `frees` is given back;
    slots in `fills` can be used `latency` ticks later. `inner_stalls` are parts of `ticks` without useful work.
    `cause` is what an engine waits for when it waits for what this command makes.
    """

    engine: str
    ticks: int
    cause: Stall
    takes: tuple[str, ...] = ()
    frees: tuple[str, ...] = ()
    fills: tuple[str, ...] = ()
    latency: int = 0
    inner_stalls: tuple[tuple[Stall, int], ...] = ()
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True)
class Loop:
    """`body`, `count` times."""

    count: int
    body: tuple["Node", ...]


Node = Command | Loop


@dataclass(frozen=True)
class Program:
    """The work of one op on one machine. `lead` is the engine whose time is accounted for."""

    lead: str
    buffers: tuple[Buffer, ...]
    body: tuple[Node, ...]

    def run(self, exact: bool) -> "Timing":
        """Carry the program out; `exact` makes every command an event. Raises ValueError where it can never go on."""
        return kernel.run(self, exact)

    def commands(self) -> Sequence[tuple[Command, int]]:
        """Every command as written, with how often it is carried out."""
        return self._commands

    @cached_property
    def _commands(self) -> Sequence[tuple[Command, int]]:
        return list(_weighted(self.body, 1))

    def engine_ticks(self) -> Counter[str]:
        """Ticks every engine is occupied: a floor of the run's cycles."""
        total: Counter[str] = Counter()
        for command, count in self.commands():
            total[command.engine] += command.ticks * count
        return total

    def lead_ticks(self) -> int:
        """Ticks the lead engine is occupied."""
        return sum(command.ticks * count for command, count in self.commands() if command.engine == self.lead)

    def inner_stalls(self) -> dict[Stall, int]:
        """Stalls inside the lead engine's commands."""
        total: dict[Stall, int] = {}
        for command, count in self.commands():
            if command.inner_stalls and command.engine == self.lead:
                for stall, ticks in command.inner_stalls:
                    total[stall] = total.get(stall, 0) + ticks * count
        return total

    def actions(self) -> dict[tuple[str, str], int]:
        """Amount by (kind, tensor) over the whole run."""
        total: dict[tuple[str, str], int] = {}
        for command, count in self.commands():
            for kind, tensor, amount in command.actions:
                total[kind, tensor] = total.get((kind, tensor), 0) + amount * count
        return total

    def memory_bytes(self) -> Mapping[str, int]:
        """Bytes of every on-chip memory that the buffers take."""
        total: Counter[str] = Counter()
        for buffer in self.buffers:
            total[buffer.memory] += buffer.slots * buffer.slot_bytes
        return total


def _weighted(body: tuple[Node, ...], times: int) -> Iterator[tuple[Command, int]]:
    for node in body:
        if isinstance(node, Loop):
            if node.count > 0:
                yield from _weighted(node.body, times * node.count)
        else:
            yield node, times


def in_order(body: Sequence[Node]) -> Iterator[Command]:
    """Every command as often as it is carried out, in the order of the program."""
    for node in body:
        if isinstance(node, Loop):
            for _ in range(node.count):
                yield from in_order(node.body)
        else:
            yield node


def delay_stores(body: tuple[Node, ...], output: str) -> tuple[Node, ...]:
    """The same work, with every command that frees a slot of `output` moved to where the next such one stood.

    A store written right behind the computation it follows would hold back the loads of the next tile, because an
    engine keeps its order. This puts each store behind the loads of the tile after it, over loop borders too.
    """
    done, pending = _delay(body, output, None)
    return done if pending is None else (*done, pending)


def _delay(body: tuple[Node, ...], output: str, pending: Command | None) -> tuple[tuple[Node, ...], Command | None]:
    done: list[Node] = []
    for node in body:
        if isinstance(node, Loop):
            nodes, pending = _delay_loop(node, output, pending)
            done.extend(nodes)
        elif output in node.frees:
            if pending is not None:
                done.append(pending)
            pending = node
        else:
            done.append(node)
    return tuple(done), pending


def _delay_loop(loop: Loop, output: str, pending: Command | None) -> tuple[tuple[Node, ...], Command | None]:
    if loop.count < 1:
        return (), pending
    first, leaving = _delay(loop.body, output, pending)
    if leaving == pending:  # every round finds what the first one found
        return (Loop(loop.count, first),), leaving
    later, _ = _delay(loop.body, output, leaving)
    return (*first, *((Loop(loop.count - 1, later),) if loop.count > 1 else ())), leaving


@dataclass(frozen=True)
class Channel:
    """`bytes_per_tick` None is an infinitely fast channel. Transfers are rounded up to whole bursts."""

    bytes_per_tick: Fraction | None
    latency_ticks: int = 0
    burst_bytes: int = 1

    def ticks(self, size_bytes: int) -> int:
        """Ticks a transfer occupies the channel: ceil(bytes x den / num), its latency not counted."""
        if self.bytes_per_tick is None:
            return 0
        bytes_, ticks = self._rate
        return -(-self.transferred(size_bytes) * ticks // bytes_)

    def least_ticks(self, size_bytes: int) -> int:
        """Ticks below which no number of transfers moves so many bytes."""
        if self.bytes_per_tick is None:
            return 0
        bytes_, ticks = self._rate
        return -(-size_bytes * ticks // bytes_)

    @cached_property
    def _rate(self) -> tuple[int, int]:
        """So many bytes in so many ticks."""
        assert self.bytes_per_tick is not None
        return self.bytes_per_tick.as_integer_ratio()

    def transferred(self, size_bytes: int) -> int:
        """Bytes really moved: whole bursts."""
        return -(-size_bytes // self.burst_bytes) * self.burst_bytes
