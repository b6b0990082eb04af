"""Folds of a weight-stationary array, R groups of the reduction each, and the mapping whose partial sums go to DRAM."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

from dataflows import systolic
from dataflows.systolic.mapping import Mapping
from dataflows.systolic.operands import Held, OnOperands
from dataflows.systolic.target import ARRAY, Place, Run, Share, cut, places, repeat
from rtl.timing import Reduction, weight_stationary_step, weight_stationary_weights
from simulator.program import Action, Buffer, Command, Node, Program, Stall, delay_stores

if TYPE_CHECKING:
    from rtl.core.bound import Bound

LARGEST_BLOCK = 512  # positions whose sums travel at once


@lru_cache(maxsize=4096)
def folds(work: Reduction, rows: int) -> tuple[tuple[Share, int], ...]:
    """The folds of a reduction in order, like ones together with their number.

    The groups of a kernel position may share a fold with the next one's.
    """
    tail = work.length % work.m
    a_segment = work.groups // work.segments
    if not tail or work.segments == 1:
        whole, rest = divmod(work.groups - (1 if tail else 0), rows)
        last = Share(rest * work.m + tail, rest * work.n + min(work.n, tail), rest + (1 if tail else 0))
        runs = [(Share(rows * work.m, rows * work.n, rows), whole), (last, 1)]
        return tuple((fold, count) for fold, count in runs if count and fold.elements)
    out = []
    for first in range(0, work.groups, rows):
        last_group = min(work.groups, first + rows)
        tails = last_group // a_segment - first // a_segment
        full = last_group - first - tails
        kept = full * work.n + tails * min(work.n, tail)
        out.append(Share(full * work.m + tails * tail, kept, last_group - first))
    return tuple((fold, len(list(same))) for fold, same in groupby(out))


@lru_cache(maxsize=4096)
def largest(runs: tuple[tuple[Share, int], ...]) -> Share:
    """The fold with the most elements."""
    return max((fold for fold, _ in runs), key=lambda each: each.elements)


@dataclass(frozen=True)
class InFolds(OnOperands):
    """What weight-stationary plans have in common."""

    @cached_property
    def cols(self) -> int:
        return min(self.operands.target.array.cols, self.product.cols)

    @cached_property
    def folds(self) -> tuple[tuple[Share, int], ...]:
        return folds(self.product.reduction, self.operands.target.array.rows)

    @cached_property
    def depth_in_folds(self) -> int:
        return sum(count for _, count in self.folds)

    def fold_cycles(self, positions: int) -> tuple[int, tuple[tuple[Stall, int], ...]]:
        """Ticks of a fold over one block of positions, and the stalls in them."""
        reduction = self.product.reduction
        cycles = self.operands.target.fold(positions, reduction.n, reduction.m)
        return cycles.total, ((Stall.LINKS, cycles.links), (Stall.FILL_DRAIN, cycles.fill_drain))

    @property
    @abstractmethod
    def block_size(self) -> int:
        """Positions whose sums are on chip at once."""

    @property
    def sums_bytes(self) -> int:
        """Bytes of a block's sums in the output memory."""
        target = self.operands.target
        return target.banks.sums(self.block_size, self.cols) * target.arch.format.accumulator_bytes

    def west(self, slots: int, part: Share) -> Held:
        """Slots for a block of positions over a part of the reduction."""
        ops, shape = self.operands, self.product.left_shape(self.block_size, part.elements)
        if ops.is_turned and ops.target.words is not None:
            shape = shape._replace(lines=ops.target.words.turned(shape.lines))
        elements = ops.target.banks.streamed_positions(shape, part.groups, self.product.reduction.m)
        return Held(slots, ops.west_room(elements), ops.left_bytes(self.block_size, part))

    def north(self, slots: int, cols: int, part: Share) -> Held:
        """Slots for the weights of columns over a part of the reduction."""
        ops = self.operands
        weights = ops.target.banks.folded_weights(cols, part.groups, self.product.reduction.n)
        return Held(slots, ops.north_room(weights), ops.loaded(cols, part))

    def fold_actions(self, positions: int, cols: int, fold: Share, seeded: bool) -> tuple[Action, ...]:
        product, size = self.product, self.operands.target.operand_bytes
        sums = positions * cols * self.operands.target.arch.format.accumulator_bytes
        macs, west = positions * cols * fold.kept, positions * fold.elements * size
        north = self.operands.right_bytes(cols, fold)
        return (
            Action("mac", product.right, macs),
            *self.operands.selects(macs),
            Action("west.read", product.left, west),
            Action("north.read", product.right, north),
            Action("hop", product.left, west * cols),
            Action("hop", product.right, north * -(-fold.groups // 2)),  # weights stop on their way down
            Action("hop", "partial-sum", sums * fold.groups),
            Action("output.write", "partial-sum", sums),
            Action("output.read", "partial-sum", sums if seeded else 0),
        )


@dataclass(frozen=True)
class SpilledSums(InFolds):
    """Every fold streams all positions; sums travel to DRAM and back between folds.

    There are at least two blocks of positions: the sums of one are stored while the next is under way, so with one
    alone a fold would load its sums before the fold before it had stored them.
    """

    @property
    def block_size(self) -> int:
        return min(LARGEST_BLOCK, -(-self.product.rows // 2))

    @property
    def has_sums(self) -> bool:
        """Whether there is something to spill."""
        return self.product.rows > 1 and self.depth_in_folds > 1

    def fits(self) -> bool:
        """True when there is something to spill and it fits the machine."""
        return self.has_sums and self.operands.target.fits(self.buffers())

    def floor_cycles(self) -> int:
        product = self.product
        tiles = sum(run.count for run in cut(product.cols, self.cols))
        fold = self.fold_cycles(product.rows)[0]
        if not self._keeps_weights:
            fold = sum(run.count * self.fold_cycles(run.size)[0] for run in cut(product.rows, self.block_size))
        return fold * tiles * self.depth_in_folds * product.count

    def least_cycles(self) -> int:
        first = self.operands.target.channel.latency_ticks
        return max(first + self.floor_cycles(), self.product.count * self._dram_ticks())

    def least_bytes(self) -> int:
        product = self.product
        sums = 2 * (self.depth_in_folds - 1) * product.rows * product.cols
        operands = self.operands.moved_bytes(-(-product.cols // self.cols), 1)
        return product.count * (operands + sums * self.operands.target.arch.format.accumulator_bytes)

    def _dram_ticks(self) -> int:
        """Ticks DRAM is occupied: every transfer of every fold, without the weights, which are little beside sums."""
        ops, product, ticks = self.operands, self.product, self.operands.target.load_ticks
        sum_bytes, later_folds = ops.target.arch.format.accumulator_bytes, self.depth_in_folds - 1
        tiles, total = cut(product.cols, self.cols), 0
        for run in cut(product.rows, self.block_size):
            left = sum(count * ops.left_load(run.size, fold).dram for fold, count in self.folds)
            for tile in tiles:
                sums = 2 * later_folds * ticks(ops.results_bytes(run.size, tile.size, sum_bytes))
                total += run.count * tile.count * (left + sums + ops.store_ticks(run.size, tile.size))
        return total

    def mapping(self) -> Mapping:
        return Mapping(
            depth=self.product.reduction.n,
            order="columns",
            resident="spill",
            block=self.block_size,
            pieces=self.depth_in_folds,
            inline=self.operands.inline,
        )

    def buffers(self) -> tuple[Buffer, ...]:
        fold = largest(self.folds)
        operands = self.operands.buffers(self.west(2, fold), self.north(2, self.cols, fold))
        sums = self.sums_bytes
        return (*operands, Buffer("seed", 2, "output", sums), Buffer("out", 2, "output", sums))

    def program(self) -> Program:
        product, out = self.product, list[Node]()
        for run in cut(product.cols, self.cols):
            body: list[Node] = []
            for place, count in places(self.folds):
                body.extend(repeat(count, self._fold(run.size, place)))
            out.extend(repeat(run.count, body))
        return Program(ARRAY, self.buffers(), delay_stores(repeat(product.count, out), "out"))

    def bound(self) -> "Iterator[tuple[Command, Bound]]":
        tile = self.block_size, self.cols
        return systolic.bound(self.operands, self.program(), systolic.spilled_steps(self), tile)

    @property
    def _keeps_weights(self) -> bool:
        """Whether weights stay in the PEs from one block to the next. The core's array takes them for every run."""
        return self.operands.target.words is None

    def _fold(self, cols: int, place: Place[Share]) -> tuple[Node, ...]:
        """Weights, then blocks of positions, of which the last one frees the weights.

        Where weights stay, the blocks follow each other at the pace of their positions; sums of a block are out of the
        array `way_out` later, and the array is done with a fold when its last sum is out.
        """
        ops, array, n = self.operands, self.operands.target.array, self.product.reduction.n
        weights = weight_stationary_weights(array, n) if self._keeps_weights else 0
        enter = Command(ARRAY, weights, Stall.ARRAY, takes=("north",), inner_stalls=((Stall.FILL_DRAIN, weights),))
        out: list[Node] = [*ops.load_right(cols, place.part), enter]
        way_out = self.fold_cycles(0)[0] - weights if self._keeps_weights else 0
        runs = [(run, run.count) for run in cut(ops.product.rows, self.block_size)]
        for block, count in places(runs):
            out.extend(repeat(count, self._block(block, cols, place, way_out)))
        return tuple(out)

    def _block(self, block: Place[Run], cols: int, place: Place[Share], way_out: int) -> tuple[Node, ...]:
        ops, fold, positions = self.operands, place.part, block.part.size
        target, each = ops.target, ops.target.arch.format.accumulator_bytes
        on_chip, moved = positions * cols * each, ops.results_bytes(positions, cols, each)
        taken = ("west",) if place.first else ("west", "seed")
        load = target.load("partial-sum", "output", "seed", moved, cause=Stall.SPILL)
        drain = way_out if block.last else 0
        ticks, stalls = self._run_cycles(positions, drain)
        compute = Command(
            ARRAY,
            ticks,
            Stall.ARRAY,
            takes=taken,
            frees=(*taken, "north") if block.last else taken,
            fills=("out",),
            latency=target.array.latency + way_out - drain,
            inner_stalls=stalls,
            actions=self.fold_actions(positions, cols, fold, seeded=not place.first),
        )
        spill = target.store("partial-sum", ("out",), on_chip, moved)
        store = ops.store(positions, cols, "out") if place.last else spill
        seed = () if place.first else (load,)
        return *ops.load_left(positions, fold), *seed, compute, store._replace(cause=Stall.SPILL)

    def _run_cycles(self, positions: int, drain: int) -> tuple[int, tuple[tuple[Stall, int], ...]]:
        """Ticks of a block, and the stalls in them; `drain` of them are the way out of the fold's last sum."""
        if not self._keeps_weights:
            return self.fold_cycles(positions)
        array, reduction = self.operands.target.array, self.product.reduction
        period, _ = weight_stationary_step(array, reduction.n, reduction.m)
        ticks = max(positions * period, array.shortest)
        links = ticks - positions * reduction.n
        return ticks + drain, ((Stall.LINKS, links), (Stall.FILL_DRAIN, drain))
