"""Weight stationary: a fold of weights stays in the PEs, positions stream past, sums go down the rows.

A fold is R groups of the reduction by C columns. The sums of a block of positions stay in the output memory until the
last fold; `spilled_sums` has the mapping in which they do not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from dataflows import systolic
from dataflows.systolic.depths import at_depth, depths
from dataflows.systolic.lowering import Product
from dataflows.systolic.mapping import Dataflow, Draft, Family, Mapping, Plan
from dataflows.systolic.operands import Held, Operands
from dataflows.systolic.spilled_sums import InFolds, SpilledSums, largest
from dataflows.systolic.target import (
    ARRAY,
    Place,
    Share,
    Stage,
    Target,
    cut,
    drop,
    hold,
    in_turn,
    places,
    prefetched,
    repeat,
    share,
)
from rtl.timing import Reduction
from simulator.program import Buffer, Command, Node, Program, Stall, delay_stores
from simulator.schedule import ArrayPart

if TYPE_CHECKING:
    from rtl.core.bound import Bound
    from rtl.formats import Bits, Packed
    from rtl.parameters import Parameters
    from simulator.hil.cut import Cut

SPLITS = (1, 2, 4, 16)  # blocks of positions, as multiples of the fewest that fit


class WeightStationary(Dataflow):
    """The compiler. Its mappings differ in group depth, block of positions, loop order and what is resident."""

    name = "weight-stationary"
    is_default = True

    def drafts(self, target: Target, product: Product) -> Iterator[Draft]:
        for depth in depths(target, product):
            operands = Operands(target, at_depth(product, depth), False, folded=True)
            block = -(-product.rows // _fewest_blocks(operands))
            floor = FoldedPlan(operands, "rows", "none", block).floor_cycles()
            yield Draft(floor, partial(_families, operands, block))
            spilled = SpilledSums(operands)
            if spilled.has_sums:
                yield Draft(spilled.least_cycles(), partial(_spilled, operands))

    def tile_extent(self, part: ArrayPart, p: "Parameters") -> tuple[int, int]:
        return systolic.weight_stationary_extent(part, p)

    def cut(self, part: ArrayPart, p: "Parameters", left: "Bits", right: "Packed", reduction: Reduction) -> "Cut":
        return systolic.cut_weight_stationary(part, p, left, right, reduction)


def _families(packed: Operands, block: int, inline: bool) -> Iterator[Family]:
    operands = packed.with_inline(inline)
    for order, resident in (("rows", "whole"), ("rows", "block"), ("columns", "block"), ("rows", "none")):
        yield Family(partial(_fitted, operands, order, resident, block), usual=resident == "none")


def _spilled(packed: Operands, inline: bool) -> Iterator[Family]:
    plan = SpilledSums(packed.with_inline(inline))
    yield Family(partial(_if_it_fits, plan))


def _if_it_fits(plan: SpilledSums, limit: int | None = None) -> Iterator[Plan]:
    if (limit is None or plan.least_cycles() < limit) and plan.fits():
        yield plan


@dataclass(frozen=True)
class FoldedPlan(InFolds):
    """Sums of a block of positions stay on chip through all folds."""

    order: str
    resident: str
    block: int
    outer_slots: int = 2

    @property
    def block_size(self) -> int:
        return self.block

    def floor_cycles(self) -> int:
        return self._floor_cycles

    @cached_property
    def _floor_cycles(self) -> int:
        total = 0
        for run in cut(self.product.rows, self.block):
            total += run.count * self.fold_cycles(run.size)[0]
        tiles = sum(run.count for run in cut(self.product.cols, self.cols))
        return total * tiles * self.depth_in_folds * self.product.count

    def moved_ticks(self) -> int:
        """A floor of the time DRAM takes; the smaller the blocks, the more often weights come."""
        return self.operands.moved_ticks(*self._passes())

    def least_bytes(self) -> int:
        return self.product.count * self.operands.moved_bytes(*self._passes())

    def _passes(self) -> tuple[int, int]:
        """How often each operand comes on chip."""
        left = -(-self.product.cols // self.cols) if self.resident == "none" or self.order == "columns" else 1
        right = 1 if self.resident == "whole" or self.order == "columns" else -(-self.product.rows // self.block)
        return left, right

    def least_cycles(self) -> int:
        """Before the array's work stand its first operands, behind it the last store."""
        ops, product, first_fold = self.operands, self.product, self.folds[0][0]
        left = ops.left_load(self.block, first_fold if self.resident == "none" else share(product.reduction))
        held = first_fold if self.resident in ("block", "none") and self.order == "rows" else share(product.reduction)
        right = ops.right_load(product.cols if self.resident == "whole" else self.cols, held)
        last = ops.store_ticks(product.rows % self.block or self.block, product.cols % self.cols or self.cols)
        ends = ops.first_ticks((left, right)) + ops.target.array.latency + last
        return max(self.floor_cycles() + ends, self.moved_ticks())

    def mapping(self) -> Mapping:
        return Mapping(
            depth=self.product.reduction.n,
            order=self.order,
            resident=self.resident,
            block=self.block,
            pieces=self.depth_in_folds,
            inline=self.operands.inline,
        )

    def buffers(self) -> tuple[Buffer, ...]:
        west, north, sums = self._held_bytes()
        return (*self.operands.buffers(west, north), Buffer("sums", 2, "output", sums), Buffer("out", 2))

    def fits(self) -> bool:
        west, north, sums = self._held_bytes()
        return self.operands.room(west, north, 2 * sums)

    def _held_bytes(self) -> tuple[Held, Held, int]:
        """Slots of both operands, and the bytes of a block's sums."""
        product, fold, every = self.product, largest(self.folds), share(self.product.reduction)
        in_blocks = self.resident != "none"
        west = self.west(self.outer_slots if in_blocks and self.order == "rows" else 2, every if in_blocks else fold)
        north = self.north(2, self.cols, fold)
        if self.order == "columns":
            north = self.north(self.outer_slots, self.cols, every)
        if self.resident == "whole":
            north = self.north(1, product.cols, every)
        return west, north, self.sums_bytes

    def program(self) -> Program:
        ops, product = self.operands, self.product
        whole = self.resident == "whole"
        before: tuple[Node, ...] = ()
        if whole:
            before = (*ops.load_right(product.cols, share(product.reduction)), hold("north"))
        body = (*before, *self._outer(), *((drop("north"),) if whole else ()))
        return Program(ARRAY, self.buffers(), delay_stores(repeat(product.count, body), "out"))

    def bound(self) -> "Iterator[tuple[Command, Bound]]":
        tile = self.block, self.cols
        return systolic.bound(self.operands, self.program(), systolic.folded_steps(self), tile)

    def _outer(self) -> tuple[Node, ...]:
        ops, product = self.operands, self.product
        if self.order == "columns":
            loads, own = ops.load_right, "north"
            stages = [
                Stage(loads(run.size, share(product.reduction)), self._held(own, self._inner_rows(run.size)), run.count)
                for run in cut(product.cols, self.cols)
            ]
        elif self.resident == "none":
            runs = cut(product.rows, self.block)
            return tuple(node for run in runs for node in repeat(run.count, self._inner_cols(run.size)))
        else:
            stages = [
                Stage(
                    ops.load_left(run.size, share(product.reduction)),
                    self._held("west", self._inner_cols(run.size)),
                    run.count,
                )
                for run in cut(product.rows, self.block)
            ]
        return prefetched(stages) if self.outer_slots > 1 else in_turn(stages)

    def _held(self, buffer: str, body: tuple[Node, ...]) -> tuple[Node, ...]:
        return hold(buffer), *body, drop(buffer)

    def _inner_cols(self, positions: int) -> tuple[Node, ...]:
        runs = cut(self.product.cols, self.cols)
        return tuple(node for run in runs for node in repeat(run.count, self._tile(positions, run.size)))

    def _inner_rows(self, cols: int) -> tuple[Node, ...]:
        out: list[Node] = []
        for run in cut(self.product.rows, self.block):
            load = self.operands.load_left(run.size, share(self.product.reduction))
            out.extend(repeat(run.count, (*load, *self._held("west", self._tile(run.size, cols)))))
        return tuple(out)

    def _tile(self, positions: int, cols: int) -> tuple[Node, ...]:
        """All folds of one block of positions and columns, and the store of its sums."""
        out: list[Node] = []
        for place, count in places(self.folds):
            out.extend(repeat(count, self._fold(positions, cols, place)))
        return (*out, self.operands.store(positions, cols, "sums", "out"))

    def _fold(self, positions: int, cols: int, place: Place[Share]) -> tuple[Node, ...]:
        ops, fold = self.operands, place.part
        taken: tuple[str, ...] = ()
        loads: list[Command] = []
        if self.resident == "none":
            loads.extend(ops.load_left(positions, fold))
            taken = ("west",)
        if self.resident != "whole" and self.order == "rows":
            loads.extend(ops.load_right(cols, fold))
            taken = (*taken, "north")
        ticks, stalls = self.fold_cycles(positions)
        compute = Command(
            ARRAY,
            ticks,
            Stall.ARRAY,
            takes=taken,
            frees=taken,
            fills=(*(("sums",) if place.first else ()), *(("out",) if place.last else ())),
            latency=ops.target.array.latency,
            inner_stalls=stalls,
            actions=self.fold_actions(positions, cols, fold, seeded=not place.first),
        )
        return *loads, compute


def _fitted(operands: Operands, order: str, resident: str, most: int, limit: int | None = None) -> Iterator[Plan]:
    """Plans with the largest block of positions that fits (`most` at best), and with fractions of it, if any does."""
    if limit is not None and FoldedPlan(operands, order, resident, most).moved_ticks() >= limit:
        return
    rows, tried = operands.product.rows, set[int]()
    for slots in (2, 1):
        plan = _largest(operands, order, resident, slots)
        if plan is not None:
            blocks = -(-rows // plan.block)
            sizes = {-(-rows // min(rows, blocks * split)) for split in SPLITS} - tried
            smaller = [FoldedPlan(plan.operands, order, resident, size, slots) for size in sorted(sizes, reverse=True)]
            if limit is not None:
                smaller = [each for each in smaller if each.least_cycles() < limit]
            yield from (each for each in smaller if each.fits())
            tried |= sizes
            if plan.block == most:
                break  # a slot less makes room for nothing more


def _largest(operands: Operands, order: str, resident: str, slots: int) -> FoldedPlan | None:
    """The plan with the fewest blocks of positions: twice as many until they fit, then back by eighths."""
    rows, blocks = operands.product.rows, _fewest_blocks(operands)
    while blocks <= rows:
        plan = _fits(operands, order, resident, slots, blocks)
        if plan is not None:
            fewer = (_fits(operands, order, resident, slots, -(-blocks * part // 8)) for part in (5, 6, 7))
            return next((each for each in fewer if each is not None), plan) if blocks > 2 else plan
        blocks *= 2
    return None


def _fits(operands: Operands, order: str, resident: str, slots: int, blocks: int) -> FoldedPlan | None:
    block = -(-operands.product.rows // blocks)
    plans = (FoldedPlan(staged, order, resident, block, slots) for staged in operands.stagings)
    return next((plan for plan in plans if plan.fits()), None)


def _fewest_blocks(operands: Operands) -> int:
    """Blocks of positions that the output memory alone asks for: two slots of sums."""
    product, target = operands.product, operands.target
    capacity = target.capacity_bytes("output")
    if capacity is None:
        return 1
    sums = 2 * target.banks.sums(product.rows, 1) * target.arch.format.accumulator_bytes
    return max(1, -(-sums // max(1, capacity)))
