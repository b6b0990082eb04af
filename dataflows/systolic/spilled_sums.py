"""Weight stationary with partial sums in DRAM: every fold streams all positions, and sums travel there and back."""

from dataclasses import dataclass, replace

from dataflows.systolic.blocks import Share, cut, repeat
from dataflows.systolic.folds import FoldWork, Place, folds, largest, places
from dataflows.systolic.lowering import Product
from dataflows.systolic.mapping import Mapping
from dataflows.systolic.operands import Operands
from dataflows.systolic.target import ARRAY, hold
from simulator.program import Buffer, Command, Node, Program, Stall, delay_stores

LARGEST_BLOCK = 512  # positions whose sums travel at once


@dataclass(frozen=True)
class SpilledSums:
    """Every fold streams all positions; sums travel to DRAM and back between folds.

    There are at least two blocks of positions: the sums of one are stored while the next is under way, so with one
    alone a fold would load its sums before the fold before it had stored them.
    """

    operands: Operands

    @property
    def block(self) -> int:
        return min(LARGEST_BLOCK, -(-self.operands.product.rows // 2))

    @property
    def has_sums(self) -> bool:
        """Whether there is something to spill."""
        return self.operands.product.rows > 1 and self.depth_in_folds > 1

    def makes_sense(self) -> bool:
        """True when there is something to spill and it fits the machine."""
        return self.has_sums and self.operands.target.fits(self.buffers())

    @property
    def folds(self) -> tuple[tuple[Share, int], ...]:
        return folds(self.operands.product.reduction, self.operands.target.array.rows)

    @property
    def depth_in_folds(self) -> int:
        return sum(count for _, count in self.folds)

    def floor_cycles(self) -> int:
        product = self.operands.product
        tiles = sum(run.count for run in cut(product.cols, self.cols))
        return FoldWork(self.operands).cycles(product.rows)[0] * tiles * self.depth_in_folds * product.count

    def least_cycles(self) -> int:
        return max(self.floor_cycles(), self.operands.product.count * self._dram_ticks())

    def _dram_ticks(self) -> int:
        """Ticks DRAM is occupied: every transfer of every fold, without the weights, which are little beside sums."""
        ops, product, ticks = self.operands, self.operands.product, self.operands.target.channel.ticks
        sum_bytes, later_folds = ops.target.arch.format.accumulator_bytes, self.depth_in_folds - 1
        tiles, total = cut(product.cols, self.cols), 0
        for run in cut(product.rows, self.block):
            left = sum(count * ops.left_load(run.size, fold.elements).dram for fold, count in self.folds)
            for tile in tiles:
                outputs = run.size * tile.size
                sums = 2 * later_folds * ticks(outputs * sum_bytes)
                total += run.count * tile.count * (left + sums + ticks(outputs * product.final_bytes))
        return total

    @property
    def cols(self) -> int:
        return min(self.operands.target.array.cols, self.operands.product.cols)

    def mapping(self) -> Mapping:
        return Mapping(
            depth=self.operands.product.reduction.n,
            order="columns",
            resident="spill",
            block=self.block,
            pieces=sum(count for _, count in self.folds),
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

    def renamed(self, product: Product) -> "SpilledSums":
        return replace(self, operands=self.operands.renamed(product))

    def inlined(self) -> "SpilledSums | None":
        plans = (replace(self, operands=operands) for operands in self.operands.inlined().stagings)
        return next((plan for plan in plans if plan.makes_sense()), None)

    def program(self) -> Program:
        product, out = self.operands.product, list[Node]()
        for run in cut(product.cols, self.cols):
            body: list[Node] = []
            for place, count in places(self.folds):
                body.extend(repeat(count, self._fold(run.size, place)))
            out.extend(repeat(run.count, body))
        return Program(ARRAY, self.buffers(), delay_stores(repeat(product.count, out), "out"))

    def _fold(self, cols: int, place: Place) -> tuple[Node, ...]:
        ops, parts = self.operands, FoldWork(self.operands)
        out: list[Node] = [*ops.load_right(cols, place.fold), hold("north")]
        for run in cut(ops.product.rows, self.block):
            out.extend(repeat(run.count, self._block(run.size, cols, place)))
        ticks, stalls = parts.ends()
        ends = Command(ARRAY, ticks, Stall.ARRAY, frees=("north",), inner_stalls=stalls)
        return *out, ends

    def _block(self, positions: int, cols: int, place: Place) -> tuple[Node, ...]:
        ops, parts, fold = self.operands, FoldWork(self.operands), place.fold
        target, product = ops.target, ops.product
        sums = positions * cols * target.arch.format.accumulator_bytes
        taken = ("west",) if place.first else ("west", "seed")
        seed = () if place.first else (target.load("partial-sum", sums, "output", "seed", Stall.SPILL),)
        all_ticks, _ = parts.cycles(positions)
        ticks = all_ticks - parts.cycles(0)[0]
        links = ticks - positions * product.reduction.n
        compute = Command(
            ARRAY,
            ticks,
            Stall.ARRAY,
            takes=taken,
            frees=taken,
            fills=("out",),
            inner_stalls=((Stall.LINKS, links),),
            actions=parts.actions(positions, cols, fold, seeded=not place.first),
        )
        size = positions * cols * product.final_bytes if place.last else sums
        store = target.store(product.output if place.last else "partial-sum", size, sums, ("out",))
        return *ops.load_left(positions, fold.elements), *seed, compute, store._replace(cause=Stall.SPILL)
