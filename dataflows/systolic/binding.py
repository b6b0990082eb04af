"""From a plan to commands that hardware carries out: every load, store and run with its addresses.

A plan says in which order its blocks come (`steps`); its program says in which order engines get to work. Loads of one
operand have the same order in both, so have runs and stores: each command of the program is matched with the next step
of its kind. A slot of a buffer is used again in the order of the fills, so the third load of a buffer of two slots goes
into the first one.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from dataflows.systolic.operands import Operands
from dataflows.systolic.slots import Laid, Part, Slots, moved, raw_words
from dataflows.systolic.steps import Left, Right, RunStep, Seeds, Step, Stored
from dataflows.systolic.target import ARRAY, DRAM, SORE, TRANSPOSER
from rtl.core.bound import Bound, BoundLoad, BoundRun, BoundSort, BoundStore, BoundTurn, Content, CoreMemory
from rtl.core.walk import Stride, Walk
from rtl.run import Run
from simulator.program import Buffer, Command, Program, in_order
from workloads.errors import UserError

Kind = TypeVar("Kind", Left, Right, Seeds, RunStep, Stored)
SUM_BYTES = 4


def bound(
    operands: Operands, program: Program, steps: Iterable[Step], tile: tuple[int, int]
) -> Iterator[tuple[Command, Bound]]:
    """The commands of a product's program that take cycles, in its order, each with what hardware does for it.

    steps: the blocks and runs of its plan. tile: rows and columns of a tile. Raises UserError on a machine that is no
    core.
    """
    words, reduction = operands.target.words, operands.product.reduction
    if words is None:
        raise UserError("core: this machine is no core; take core or a machine that extends it")
    slots = Slots(words, reduction, operands.product.pattern.is_grouped)
    return Binder(operands, program, tile, slots).bound(steps)


@dataclass
class _Ring:
    """Where the slots of a buffer begin, and how many were filled and taken so far. Not frozen: it counts."""

    starts: Sequence[int]
    filled: int = 0
    taken: int = 0

    def fill(self) -> int:
        """Where the next one to be filled begins."""
        self.filled += 1
        return self.newest

    def take(self) -> int:
        """Where the next one to be taken begins."""
        self.taken += 1
        return self.starts[(self.taken - 1) % len(self.starts)]

    @property
    def newest(self) -> int:
        """Where the one that was filled last begins."""
        return self.starts[(self.filled - 1) % len(self.starts)]


@dataclass
class Binder:
    """Binds one product's plan. Not frozen: it walks along the program."""

    operands: Operands
    program: Program
    tile: tuple[int, int]
    slots: Slots
    _steps: dict[str, deque[Step]] = field(default_factory=dict)  # those still to come, by what they are matched with
    _at: dict[int, int] = field(default_factory=dict)  # where the blocks of operands begin, by identity

    def bound(self, steps: Iterable[Step]) -> Iterator[tuple[Command, Bound]]:
        """Every command that takes cycles, in the order of the program."""
        self._steps = {name: deque() for name in (*_KINDS.values(), "west.raw", "north.raw")}
        for step in steps:
            self._steps[_KINDS[type(step)]].append(step)
        for command in in_order(self.program.body):
            if command.ticks:
                yield command, self._bound(command)
        if any(self._steps.values()):
            raise UserError("core: a plan has more blocks and runs than its program has commands")

    def _bound(self, command: Command) -> Bound:
        if command.engine == ARRAY:
            return self._run(self._next(RunStep, "runs"))
        if command.engine == SORE:
            return self._sort(self._next(Right, "north.raw"))
        if command.engine == TRANSPOSER:
            return self._turn(self._next(Left, "west.raw"))
        if command.engine != DRAM:
            raise UserError(f"core: a product has a command of '{command.engine}', which this core does not have")
        return self._load(command.fills[0]) if command.fills else self._store(self._next(Stored, "out"))

    def _next(self, kind: type[Kind], queue: str) -> Kind:
        found = self._steps[queue].popleft() if self._steps[queue] else None
        if not isinstance(found, kind):
            raise UserError(f"core: the program of a plan has a command of {queue} for which the plan has no step")
        return found

    @cached_property
    def _buffers(self) -> Mapping[str, _Ring]:
        """The slots of every buffer; those of one memory lie behind each other."""
        used, found = dict[str, int](), dict[str, _Ring]()
        for buffer in self.program.buffers:
            if not buffer.memory:
                continue
            size, start = self._size(buffer), used.get(buffer.memory, 0)
            found[buffer.name] = _Ring([start + size * slot for slot in range(buffer.slots)])
            used[buffer.memory] = start + size * buffer.slots
        return found

    def _size(self, buffer: Buffer) -> int:
        """Addresses of a slot in each bank."""
        words = self.slots.words
        bits = {
            "west": 8 * words.size * words.banks.rows,
            "north": (words.operand_bits + words.index_bits) * words.banks.cols,
            "raw": 8 * words.size,
            "output": 32 * words.banks.cols,
        }
        return 8 * buffer.slot_bytes // bits[buffer.memory]

    # loads, and what stands behind them

    def _load(self, buffer: str) -> BoundLoad:
        at = self._buffers[buffer].fill()
        if buffer in ("west", "west.raw"):
            left = self._next(Left, "west")
            laid = self._left(left)
            if buffer == "west.raw":
                self._steps[buffer].append(left)
                return self._raw(at, _content(left, "left", raw_words(laid, self.slots.words.side)))
            self._at[id(left)] = at
            return BoundLoad(CoreMemory.WEST, _content(left, "left", laid), moved(laid.walks, at))
        if buffer in ("north", "north.raw"):
            right = self._next(Right, "north")
            if buffer == "north.raw":
                self._steps[buffer].append(right)
                return self._raw(at, _content(right, "right", self._sorted(right)[0]))
            self._at[id(right)] = at
            laid = self._right(right)
            return BoundLoad(
                CoreMemory.NORTH, _content(right, "packed", laid), moved(laid.walks, at), not self.slots.is_sparse
            )
        seeds = self._next(Seeds, "seed")
        laid = self.slots.results(seeds.rows, seeds.columns, SUM_BYTES)
        return BoundLoad(CoreMemory.OUTPUT, _content(seeds, "sums", laid), moved(laid.walks, at))

    def _raw(self, at: int, content: Content) -> BoundLoad:
        return BoundLoad(CoreMemory.RAW, content, (Walk(at, 0, (Stride(content.words, 1),)),))

    def _left(self, step: Left) -> Laid:
        slots, turned = self.slots, self.operands.is_turned
        if self.operands.folded:
            return slots.folded_left(step.lines, step.part, turned)
        return slots.streamed_left(step.lines, self.tile[0], step.part, turned)

    def _right(self, step: Right) -> Laid:
        if self.operands.folded:
            return self.slots.folded_right(step.columns, step.part)
        return self.slots.streamed_right(step.columns, self.tile[1], step.part)

    def _sorted(self, step: Right) -> tuple[Laid, Laid]:
        return self.slots.sorted_right(step.columns, self.tile[1], step.part, self.operands.folded)

    def _turn(self, step: Left) -> BoundTurn:
        at = self._at[id(step)] = self._buffers["west"].fill()
        laid = self._left(step)
        return BoundTurn(self._buffers["west.raw"].take(), len(laid.rows), moved(laid.walks, at))

    def _sort(self, step: Right) -> BoundSort:
        raw, at = self._buffers["north.raw"].take(), self._buffers["north"].fill()
        self._at[id(step)] = at
        words, laid = self._sorted(step)
        groups = tuple((each.number, each.first.size) for each in self.slots.alike(step.part))
        elements = sum(number * size for number, size in groups)
        keep, pad = self.slots.work.n, self.operands.folded
        return BoundSort(raw, len(words.rows), groups, len(words.rows) // elements, keep, pad, moved(laid.walks, at))

    # runs, and what they leave

    def _run(self, piece: RunStep) -> BoundRun:
        turns, share = piece.turns, piece.shares
        if not turns:
            return self._fold(piece)
        if piece.drains:
            run = Run(share_weights=int(share), fresh=0, interleave=turns - 1)
            return BoundRun(run, rows=len(piece.rows), out=self._buffers["out"].fill())
        along, across = (turns, 1) if share else (1, turns)
        slots, left, right = self.slots, piece.left, piece.right
        (tile_rows, tile_cols), banks = self.tile, self.slots.words.banks
        west = self._at[id(left)] + along * slots.line_words(Part(left.part.start, piece.part.start))
        west += _turns_before(left.lines, piece.rows, tile_rows, banks.rows) * slots.line_words(left.part)
        north = self._at[id(right)] + across * slots.kept(Part(right.part.start, piece.part.start))
        north += _turns_before(right.columns, piece.columns, tile_cols, banks.cols) * slots.kept(right.part)
        return BoundRun(self._streamed(piece, along, across), west=west, north=north, rows=len(piece.rows))

    def _streamed(self, piece: RunStep, along: int, across: int) -> Run:
        slots, work, word = self.slots, self.slots.work, self.slots.words.banks.word
        held = slots.groups[piece.part.start : piece.part.stop]
        tails = [group for group in held if group.size < work.m]
        segments = max(1, len(tails))
        return Run(
            share_weights=int(piece.shares),
            fresh=int(piece.first),
            drain=0,
            interleave=max(along, across) - 1,
            kept=work.n - 1,
            words=-(-work.m // word) - 1,
            tail_kept=tails[0].kept if tails else 0,
            tail_words=-(-tails[0].size // word) - 1 if tails else 0,
            groups=(len(held) - len(tails)) // segments,
            segments=segments - 1,
            row_words=slots.line_words(piece.part) * along - 1,
            column_weights=slots.kept(piece.part) * across - 1,
        )

    def _fold(self, piece: RunStep) -> BoundRun:
        slots, work, banks = self.slots, self.slots.work, self.slots.words.banks
        positions, words, left, right = len(piece.rows), -(-work.m // banks.word), piece.left, piece.right
        run = Run(
            stationary_weights=1,
            fresh=0,
            seed=int(not piece.first),
            kept=work.n - 1,
            words=words - 1,
            positions=positions - 1,
            row_words=positions * words - 1,
            column_weights=banks.rows * work.n - 1,
        )
        room = slots.words.turned(len(left.lines)) if self.operands.is_turned else len(left.lines)
        west = self._at[id(left)] + (piece.part.start - left.part.start) // banks.rows * room * words
        tiles = (piece.columns.start - right.columns.start) // banks.cols
        north = self._at[id(right)] + tiles * slots.fold_weights(right.part)
        north += (piece.part.start - right.part.start) * work.n
        on_chip = "sums" in self._buffers  # through all folds
        sums = self._buffers["sums" if on_chip else "out"]
        out = sums.newest if on_chip and not piece.first else sums.fill()
        seed = self._buffers["seed"].take() if not on_chip and not piece.first else out
        return BoundRun(run, west, north, piece.part.stop - piece.part.start, positions, out, seed)

    def _store(self, step: Stored) -> BoundStore:
        buffer = self._buffers["sums" if "sums" in self._buffers else "out"]
        each = self.operands.product.final_bytes if step.final else SUM_BYTES
        laid = self.slots.results(step.rows, step.columns, each)
        content = _content(step, "output" if step.final else "sums", laid)
        return BoundStore(content, moved(laid.walks, buffer.take()), narrow=each < SUM_BYTES)


_KINDS: Mapping[type, str] = {Left: "west", Right: "north", Seeds: "seed", Stored: "out", RunStep: "runs"}


def _turns_before(whole: range, inside: range, tile: int, side: int) -> int:
    """Turns of the tiles of a block that stand before one of them."""
    return (inside.start - whole.start) // tile * -(-tile // side)


def _content(step: Left | Right | Seeds | Stored, tensor: str, laid: Laid) -> Content:
    lines = step.lines if isinstance(step, Left) else step.columns
    other: object = step.part if isinstance(step, Left | Right) else step.rows
    return Content((tensor, step.number, lines, other), tensor, step.number, laid.rows, laid.cols)
