"""A program as the core's control takes it: a queue of commands for each engine, buffers by number.

A command without cycles does not exist in hardware. One that only takes slots is joined with the next command of its
engine, which cannot begin before it; one that only frees slots with the command before, at whose end it happens.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

from rtl.core.bound import Bound
from rtl.core.control import ControlShape
from rtl.core.feeding import Controlled
from simulator.program import Command, Program, in_order
from workloads.errors import UserError


@final
@dataclass(frozen=True)
class CoreOp:
    """A program in the core: buffers and engines in the order of their numbers, and each engine's commands in order."""

    program: Program
    shape: ControlShape
    engines: tuple[str, ...]

    def __post_init__(self) -> None:
        slots = max((buffer.slots for buffer in self.program.buffers), default=0)
        if len(self.program.buffers) > self.shape.buffers or slots > self.shape.most_slots:
            raise UserError(
                f"core: a program has {len(self.program.buffers)} buffers of up to {slots} slots; this core has "
                f"{self.shape.buffers} of up to {self.shape.most_slots}"
            )

    @cached_property
    def buffers(self) -> Mapping[str, int]:
        """The number of each buffer."""
        return {buffer.name: number for number, buffer in enumerate(self.program.buffers)}

    @cached_property
    def queues(self) -> Mapping[str, Sequence[Command]]:
        """The commands of each engine, none without cycles.

        Raises UserError for one that hardware cannot have, and for an engine that the core does not have.
        """
        found: dict[str, list[Command]] = {engine: [] for engine in self.engines}
        held: dict[str, tuple[str, ...]] = {}
        for command in in_order(self.program.body):
            if command.engine not in found:
                raise UserError(
                    f"core: a program needs the engine '{command.engine}'; there are {', '.join(self.engines)}"
                )
            queue = found[command.engine]
            if command.ticks:
                taken = held.pop(command.engine, ())
                queue.append(command._replace(takes=(*taken, *command.takes)))
            elif command.fills or (command.takes and command.frees) or (command.frees and not queue):
                raise UserError(f"core: a command of '{command.engine}' has no cycles, and fills or hands on slots")
            elif command.frees:
                queue[-1] = queue[-1]._replace(frees=(*queue[-1].frees, *command.frees))
            else:
                held[command.engine] = (*held.get(command.engine, ()), *command.takes)
        if not any(found.values()):
            raise UserError("core: a program has no command that takes cycles, so there is nothing to carry out")
        if held:
            raise UserError(f"core: engine '{next(iter(held))}' takes slots, and no command follows")
        return found

    def mask(self, names: Sequence[str]) -> int:
        """A bit for each of some buffers."""
        return sum(1 << self.buffers[name] for name in names)


def controlled(op: CoreOp, bound: Iterable[tuple[Command, Bound]]) -> Iterator[tuple[Controlled, Bound]]:
    """Bound commands with what control sees of them, those without cycles joined to their neighbours."""
    at = dict.fromkeys(op.engines, 0)
    awaited = next((name for name in ("out", "copies", "updated") if name in op.buffers), "")  # by a store
    for command, what in bound:
        queue, place = op.queues[command.engine], at[command.engine]
        joined, at[command.engine] = queue[place], place + 1
        takes, fills, frees = (op.mask(each) for each in (joined.takes, joined.fills, joined.frees))
        last, stores = place + 1 == len(queue), awaited in joined.fills
        yield Controlled(command.engine, takes, fills, frees, last, command.ticks, stores), what
