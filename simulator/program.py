"""A machine's input language: commands on engines, ordered, with loops and the buffers through which they wait.

A program is one linear order of commands. Every engine carries out its own commands in that order, one at a time;
engines wait for each other only through buffers, whose slots are handed round first in, first out. So the order of
use of every shared resource is fixed before the run, and a run is a timed event graph: start times are maxima of
sums, and more bandwidth is never slower.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple


class Stall(StrEnum):
    """Why the lead engine of a program did not work. The list is closed: busy + stalls = cycles."""

    FILL_DRAIN = "fill_drain"  # operands and sums on their way through the array
    LATENCY = "latency"  # fewer accumulators in turn than the adder is deep
    LINKS = "links"  # operand links or buffer ports too narrow
    MEMORY = "memory"  # DRAM bandwidth or latency
    SORE = "sore"  # weights still being made sparse
    TRANSPOSE = "transpose"  # operands still being transposed
    SPILL = "spill"  # partial sums on their way to DRAM and back
    WUVE = "wuve"  # weights still being updated
    ARRAY = "array"  # another engine waits for the array
    VECTOR = "vector"  # vector or special-function units
    NETWORK = "network"  # the network between cores
    HOST = "host"  # the link to the host
    LAUNCH = "launch"  # starting the work
    SCRATCHPAD = "scratchpad"  # latency and banks of a scratchpad
    ATOMIC = "atomic"  # latency and turns of atomic operations
    DMA = "dma"  # what DMA engines bring, or have still to take away
    SERIAL = "serial"  # a single-threaded part
    IDLE = "idle"  # threads without work before a barrier


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
