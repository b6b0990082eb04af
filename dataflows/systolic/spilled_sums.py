"""Folds of a weight-stationary array, R groups of the reduction each, and the mapping whose partial sums go to DRAM."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby

from dataflows.systolic.mapping import Mapping
from dataflows.systolic.operands import OnOperands
from dataflows.systolic.target import ARRAY, Place, Share, cut, hold, places, repeat
from rtl.timing import Reduction
from simulator.program import Action, Buffer, Command, Node, Program, Stall, delay_stores

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

    def fold_ends(self) -> tuple[int, tuple[tuple[Stall, int], ...]]:
        """Ticks before the first and after the last position, and their stalls, where positions come in blocks."""
        return self.fold_cycles(0)

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
    def block(self) -> int:
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
        return self.fold_cycles(product.rows)[0] * tiles * self.depth_in_folds * product.count

    def least_cycles(self) -> int:
        return max(self.floor_cycles(), self.product.count * self._dram_ticks())

    def _dram_ticks(self) -> int:
        """Ticks DRAM is occupied: every transfer of every fold, without the weights, which are little beside sums."""
        ops, product, ticks = self.operands, self.product, self.operands.target.channel.ticks
        sum_bytes, later_folds = ops.target.arch.format.accumulator_bytes, self.depth_in_folds - 1
        tiles, total = cut(product.cols, self.cols), 0
        for run in cut(product.rows, self.block):
            left = sum(count * ops.left_load(run.size, fold.elements).dram for fold, count in self.folds)
            for tile in tiles:
                outputs = run.size * tile.size
                sums = 2 * later_folds * ticks(outputs * sum_bytes)
                total += run.count * tile.count * (left + sums + ticks(outputs * product.final_bytes))
        return total

    def mapping(self) -> Mapping:
        return Mapping(
            depth=self.product.reduction.n,
            order="columns",
            resident="spill",
            block=self.block,
            pieces=self.depth_in_folds,
            inline=self.operands.inline,
        )

    def buffers(self) -> tuple[Buffer, ...]:
        ops, fold = self.operands, largest(self.folds)
        west, north = ops.left_bytes(self.block, fold.elements), ops.right_bytes(self.cols, fold)
        sums = self.block * self.cols * ops.target.arch.format.accumulator_bytes
        return (
            Buffer("west", 2, "west", west),
            Buffer("north", 2, "north", north),
            *ops.staging(west, north),
            Buffer("seed", 2, "output", sums),
            Buffer("out", 2, "output", sums),
        )

    def program(self) -> Program:
        product, out = self.product, list[Node]()
        for run in cut(product.cols, self.cols):
            body: list[Node] = []
            for place, count in places(self.folds):
                body.extend(repeat(count, self._fold(run.size, place)))
            out.extend(repeat(run.count, body))
        return Program(ARRAY, self.buffers(), delay_stores(repeat(product.count, out), "out"))

    def _fold(self, cols: int, place: Place[Share]) -> tuple[Node, ...]:
        ops = self.operands
        out: list[Node] = [*ops.load_right(cols, place.part), hold("north")]
        for run in cut(ops.product.rows, self.block):
            out.extend(repeat(run.count, self._block(run.size, cols, place)))
        ticks, stalls = self.fold_ends()
        ends = Command(ARRAY, ticks, Stall.ARRAY, frees=("north",), inner_stalls=stalls)
        return *out, ends

    def _block(self, positions: int, cols: int, place: Place[Share]) -> tuple[Node, ...]:
        ops, fold = self.operands, place.part
        target, product = ops.target, ops.product
        sums = positions * cols * target.arch.format.accumulator_bytes
        taken = ("west",) if place.first else ("west", "seed")
        seed = () if place.first else (target.load("partial-sum", sums, "output", "seed", Stall.SPILL),)
        all_ticks, _ = self.fold_cycles(positions)
        ticks = all_ticks - self.fold_cycles(0)[0]
        links = ticks - positions * product.reduction.n
        compute = Command(
            ARRAY,
            ticks,
            Stall.ARRAY,
            takes=taken,
            frees=taken,
            fills=("out",),
            inner_stalls=((Stall.LINKS, links),),
            actions=self.fold_actions(positions, cols, fold, seeded=not place.first),
        )
        size = positions * cols * product.final_bytes if place.last else sums
        store = target.store(product.output if place.last else "partial-sum", size, sums, ("out",))
        return *ops.load_left(positions, fold.elements), *seed, compute, store._replace(cause=Stall.SPILL)
