"""The ops of a training step on the core: each with its queues, and where its tensors lie in DRAM.

All ops of a step share one DRAM: UP loads the gradients where WU has stored them, and stores the copies of the weights
where FF and BP load them.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, cast, final

import numpy as np
from numpy.typing import NDArray

from rtl.core.bound import GRADIENT, MASTERS, Bound, BoundLoad, BoundStore, CoreMemory
from rtl.core.compiled import CoreRan, Fed
from rtl.core.content import Matrices, words_of
from rtl.core.core import ARRAY, ENGINES, WUVE
from rtl.core.feeding import Feed, Regions, words_bits
from rtl.formats import groups_of
from simulator.hil.core import CoreMachine, Waits, stopped, waits_of
from simulator.hil.core_dram import Indices, Lines, Words
from simulator.hil.core_words import CoreOp, controlled
from simulator.kernel.events import ExactRun
from simulator.program import Command, Program
from simulator.schedule import ScheduledOp
from workloads.errors import UserError
from workloads.op import MatrixOp, Phase, VectorOp


class MastersOf(Protocol):
    """What lies in the words of a region of masters: the field, and (words, 2) rows and columns."""

    field: Indices
    rows: Indices
    cols: Indices


class UpdatesWeights(Protocol):
    """A plan of an update, as the systolic compiler makes it for the core."""

    def bound(self) -> Iterable[tuple[Command, Bound]]: ...

    def masters(self) -> MastersOf: ...


@final
@dataclass(frozen=True)
class Within:
    """The regions of a layer's op, whose names hold within it; those of an update say the phase themselves."""

    regions: Regions
    layer: str
    phase: Phase

    def address(self, region: Hashable, words: int | None = None) -> int:
        """As `Regions.address`."""
        inside = region if self.phase is Phase.UP else (self.phase.value, region)
        return self.regions.address((self.layer, inside), words)


@final
@dataclass(frozen=True)
class Copied:
    """The copy of a weight that a product loads: where its words lie, the words, and their bits that are read.

    constant: those that are padding as a whole, and are the same in every step.
    """

    at: Indices
    words: Lines
    read: Lines
    constant: NDArray[np.bool_]


@final
@dataclass(frozen=True)
class StepOp:
    """An op of a step on the core. Raises UserError, when it is looked at, where it is not one program."""

    machine: CoreMachine
    scheduled: ScheduledOp
    regions: Regions

    @property
    def op(self) -> MatrixOp | VectorOp:
        """What is asked for."""
        assert isinstance(self.scheduled.op, MatrixOp | VectorOp)
        return self.scheduled.op

    @cached_property
    def program(self) -> Program:
        """What it does."""
        if not self.scheduled.plans:
            raise UserError(f"core: {self.op.layer} {self.op.phase} has no plan that the core could carry out")
        if len(self.scheduled.programs) != 1:
            raise UserError(
                f"core: {self.op.layer} {self.op.phase} is {len(self.scheduled.programs)} programs, and the core "
                "carries out one"
            )
        program = self.scheduled.programs[0]
        assert isinstance(program, Program)
        return program

    @cached_property
    def bound(self) -> Sequence[tuple[Command, Bound]]:
        """Its commands with what hardware does for them."""
        return list(self.scheduled.plans[0].bound())

    @cached_property
    def places(self) -> Within:
        """Its regions."""
        return Within(self.regions, self.op.layer, self.op.phase)

    def place(self, elements: int = 0) -> None:
        """Give all that it loads and stores its place in DRAM. elements: of the gradient that the host lays out."""
        for _, what in self.bound:
            if isinstance(what, BoundLoad | BoundStore):
                self.places.address(what.content.region, what.content.words)
        if self.op.phase is Phase.UP:
            self.masters  # noqa: B018  # which asks for its place
        if elements:
            self.gradient(elements)

    # a product's tensors

    def _moved(self, tensor: str) -> list[BoundLoad | BoundStore]:
        """The transfers of a tensor, one for each of its regions."""
        found = dict[Hashable, BoundLoad | BoundStore]()
        for _, what in self.bound:
            if isinstance(what, BoundLoad | BoundStore) and what.content.tensor == tensor:
                found.setdefault(what.content.region, what)
        return list(found.values())

    def _at(self, moved: BoundLoad | BoundStore) -> Indices:
        content = moved.content
        return self.places.address(content.region, content.words) // 8 + np.arange(content.words)

    def _words(self, tensor: str) -> Words:
        moved = self._moved(tensor)
        contents = [each.content for each in moved]
        return Words(
            np.concatenate([self._at(each) for each in moved]),
            np.concatenate([content.rows for content in contents]),
            np.concatenate([content.cols for content in contents]),
        )

    @cached_property
    def left(self) -> Words:
        """Where its left operand lies."""
        return self._words("left")

    @cached_property
    def right(self) -> Words:
        """Where its right operand lies, of a product without a weight."""
        return self._words("packed")

    @cached_property
    def results(self) -> Words:
        """Where its results lie."""
        return self._words("output")

    @property
    def scratch(self) -> Indices:
        """Where sums lie that travel to DRAM and back."""
        found = [self._at(each) for each in self._moved("sums")]
        return np.concatenate([np.empty(0, np.int64), *found])

    @cached_property
    def _copies(self) -> list[tuple[BoundLoad, Indices]]:
        return [
            (each, self._at(each))
            for each in (*self._moved("packed"), *self._moved("right"))
            if isinstance(each, BoundLoad)
        ]

    @cached_property
    def starts(self) -> Indices:
        """For every kept weight of a column, where its group begins."""
        return np.concatenate(
            [np.full(group.kept, group.start) for group in groups_of(self.scheduled.parts[0].reduction)]
        )

    def copied(self, matrices: Matrices) -> Copied:
        """The copy of a weight that it loads. matrices: the weight, dense and packed."""
        words, read, constant = list[Lines](), list[Lines](), list[NDArray[np.bool_]]()
        for load, _ in self._copies:
            content, values = load.content, words_of(load.content, matrices, load.dense)
            there, p = content.rows >= 0, self.machine.layout.shape.array
            words.append(words_bits(load, values, p.weight_bits))
            # in place of columns that there are not lies whatever was left in the banks
            is_sparse = load.memory is CoreMemory.NORTH and not load.dense
            bits = np.uint64(p.weight_bits if is_sparse else p.operand.bits)
            lanes = np.arange(there.shape[1], dtype=np.uint64) * bits
            ones = there.astype(np.uint64) * ((np.uint64(1) << bits) - np.uint64(1))
            read.append(np.bitwise_or.reduce(ones << lanes, axis=1))
            constant.append(~there[:, 0])
        at = np.concatenate([at for _, at in self._copies])
        return Copied(at, np.concatenate(words), np.concatenate(read), np.concatenate(constant))

    # an update's tensors

    @cached_property
    def masters(self) -> tuple[Words, Indices]:
        """Of an update: where weights and states lie, and the field of each word."""
        found = cast(UpdatesWeights, self.scheduled.plans[0]).masters()
        start = self.places.address((Phase.UP.value, MASTERS), len(found.field)) // 8
        return Words(start + np.arange(len(found.field)), found.rows, found.cols), found.field

    def gradient(self, elements: int) -> Words:
        """Of an update of parameters that no product has: where the host puts their gradient, a row."""
        words = -(-elements // 2)
        cols = np.arange(2 * words).reshape(words, 2)
        start = self.places.address((Phase.UP.value, GRADIENT), words) // 8
        return Words(start + np.arange(words), np.where(cols < elements, 0, -1), cols.clip(0, elements - 1))

    # what it takes

    @cached_property
    def fed(self) -> Fed:
        """Its queues, without constants. All that it reads must have its place by then."""
        layout = self.machine.layout
        feed, op = Feed(layout, self.places), CoreOp(self.program, layout.control, ENGINES)
        feed.op([buffer.slots for buffer in self.program.buffers], controlled(op, self.bound))
        return self.machine.hardware.fed(feed)

    @cached_property
    def simulated(self) -> tuple[int, dict[str, int]]:
        """Cycles that the simulator has for it, every command an event, and its waits by buffer."""
        exact = ExactRun(self.program)
        return exact.run(), exact.lacked

    def run(self, memory: Lines, constants: Sequence[int] = ()) -> tuple[int, Waits]:
        """Carry it out. Returns its cycles, and the waits of its lead engine by buffer.

        constants: FP32 patterns of an update. Raises UserError where the core stops, and where the DRAM's model sees
        anything that must not be.
        """
        told = {"constants": np.array([constants], np.uint32)} if constants else {}
        fed = replace(self.fed, words=self.fed.words | told)
        ran = self.machine.hardware.run(fed, memory, self.machine.pace, self.machine.patience(self.program))
        self._check(ran)
        lead = WUVE if self.op.phase is Phase.UP else ARRAY
        return int(ran.ends[-1]) - ran.first + 1, waits_of(self.program, ran, self.simulated[1], lead)

    def _check(self, ran: CoreRan) -> None:
        name = f"{self.op.layer} {self.op.phase}"
        if ran.cycles < 0:
            raise UserError(f"core: {name}: {stopped(ran, self.program)}")
        if ran.faulty:
            seen = ", ".join(f"{count} {what}" for what, count in ran.faulty.items())
            raise UserError(f"core: {name}: the DRAM's model saw {seen}")
