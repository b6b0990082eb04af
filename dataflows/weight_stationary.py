"""Weight stationary: a fold of weights stays in the PEs, positions stream past, sums go down the rows.

A fold is R groups of the reduction by C columns. The sums of a block of positions stay in the output memory until the
last fold, or go to DRAM and back between folds (`spill`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

from dataflows.blocks import Stage, cut, in_turn, prefetched, repeat
from dataflows.lowering import Product
from dataflows.mapping import Draft, Mapping, Plan
from dataflows.target import ARRAY, Operands, Target
from rtl.timing import Reduction, weight_stationary_fold
from simulator.program import Action, Buffer, Command, Node, Program, Stall, delay_stores

SPLITS = (1, 2, 4, 16)  # blocks of positions, as multiples of the fewest that fit
SPILL_BLOCK = 512  # positions whose sums travel at once when they spill


@dataclass(frozen=True)
class Fold:
    """What R groups hold: dense elements of the reduction and those kept."""

    elements: int
    kept: int


def folds(work: Reduction, rows: int) -> list[tuple[Fold, int]]:
    """The folds of a reduction in order, like ones together with their number.

    The groups of a kernel position may share a fold with the next one's.
    """
    tail = work.length % work.m
    a_segment = work.groups // work.segments
    if not tail or work.segments == 1:
        whole, rest = divmod(work.groups - (1 if tail else 0), rows)
        last = Fold(rest * work.m + tail, rest * work.n + min(work.n, tail))
        runs = [(Fold(rows * work.m, rows * work.n), whole), (last, 1)]
        return [(fold, count) for fold, count in runs if count and fold.elements]
    out = []
    for first in range(0, work.groups, rows):
        last_group = min(work.groups, first + rows)
        tails = last_group // a_segment - first // a_segment
        full = last_group - first - tails
        out.append(Fold(full * work.m + tails * tail, full * work.n + tails * min(work.n, tail)))
    return [(fold, len(list(same))) for fold, same in groupby(out)]


@dataclass(frozen=True)
class Place:
    """Where a fold stands among the folds: the first starts new sums, the last finishes them."""

    fold: Fold
    first: bool
    last: bool


def places(runs: list[tuple[Fold, int]]) -> list[tuple[Place, int]]:
    """The folds with the first and the last one set apart."""
    out = []
    for at, (fold, count) in enumerate(runs):
        begins, ends = at == 0, at == len(runs) - 1
        if begins and ends and count == 1:
            out.append((Place(fold, True, True), 1))
            continue
        middle = count - begins - ends
        parts = [(Place(fold, True, False), int(begins)), (Place(fold, False, False), middle)]
        parts.append((Place(fold, False, True), int(ends)))
        out.extend((place, number) for place, number in parts if number)
    return out


class WeightStationary:
    """The compiler. Its mappings differ in group depth, block of positions, loop order and what is resident."""

    name = "weight-stationary"

    def drafts(self, target: Target, product: Product, inline: bool) -> Iterator[Draft]:
        for depth in _depths(target, product):
            reduction = replace(product.reduction, n=depth, m=depth) if product.pattern.is_dense else product.reduction
            operands = Operands(target, replace(product, reduction=reduction), inline)
            block = -(-product.rows // _fewest_blocks(operands))
            floor = _Plan(operands, "rows", "none", block).floor_cycles()
            for order, resident in (("rows", "whole"), ("rows", "block"), ("columns", "block"), ("rows", "none")):
                yield Draft(floor, partial(_fitted, operands, order, resident), usual=resident == "none")
            spilled = _Spilled(operands, min(SPILL_BLOCK, product.rows))
            if spilled.depth_in_folds > 1:
                yield Draft(spilled.floor_cycles(), partial(_if_it_fits, spilled))


def _if_it_fits(plan: "_Spilled") -> Iterator[Plan]:
    if plan.operands.target.fits(plan.buffers()):
        yield plan


def _depths(target: Target, product: Product) -> list[int]:
    """Group depths of dense work, the largest first; sparse work has its own."""
    if not product.pattern.is_dense:
        return [product.reduction.n]
    spec = target.arch.array
    most = min(spec.group_max, spec.window_max, product.reduction.length)
    return [depth for depth in (16, 8, 4, 2, 1) if depth <= most]


@dataclass(frozen=True)
class _Fold:
    """The commands of one fold over one block of positions, common to all plans."""

    operands: Operands

    def cycles(self, positions: int) -> tuple[int, tuple[tuple[Stall, int], ...]]:
        """Ticks and the stalls in them."""
        reduction = self.operands.product.reduction
        cycles = weight_stationary_fold(self.operands.target.array, positions, reduction.n, reduction.m)
        return cycles.total, ((Stall.LINKS, cycles.links), (Stall.FILL_DRAIN, cycles.fill_drain))

    def actions(self, positions: int, cols: int, fold: Fold, seeded: bool) -> tuple[Action, ...]:
        product, size = self.operands.product, self.operands.target.operand_bytes
        sums = positions * cols * self.operands.target.arch.format.accumulator_bytes
        return (
            Action("mac", product.right, positions * cols * fold.kept),
            Action("west.read", product.left, positions * fold.elements * size),
            Action("north.read", product.right, self.weight_bytes(cols, fold)),
            Action("output.write", "partial-sum", sums),
            Action("output.read", "partial-sum", sums if seeded else 0),
        )

    def weight_bytes(self, cols: int, fold: Fold) -> int:
        return self.operands.right_bytes(cols, self.part(fold))

    def part(self, fold: Fold) -> Reduction:
        """The fold as a piece of reduction, for the loads."""
        work = self.operands.product.reduction
        if work.n == work.m:
            return Reduction(1, fold.elements, work.n, work.m)
        groups, rest = divmod(fold.kept, work.n)
        return Reduction(1, groups * work.m + rest, work.n, work.m)


@dataclass(frozen=True)
class _Plan:
    """Sums of a block of positions stay on chip through all folds."""

    operands: Operands
    order: str
    resident: str
    block: int
    outer_slots: int = 2

    @property
    def product(self) -> Product:
        return self.operands.product

    @property
    def cols(self) -> int:
        return min(self.operands.target.array.cols, self.product.cols)

    @property
    def folds(self) -> list[tuple[Fold, int]]:
        return folds(self.product.reduction, self.operands.target.array.rows)

    def floor_cycles(self) -> int:
        parts, total = _Fold(self.operands), 0
        for run in cut(self.product.rows, self.block):
            total += run.count * parts.cycles(run.size)[0]
        tiles = sum(run.count for run in cut(self.product.cols, self.cols))
        return total * tiles * sum(count for _, count in self.folds) * self.product.count

    def mapping(self) -> Mapping:
        return Mapping(
            dataflow="weight-stationary",
            depth=self.product.reduction.n,
            order=self.order,
            resident=self.resident,
            block=self.block,
            pieces=sum(count for _, count in self.folds),
            inline=self.operands.inline,
        )

    def buffers(self) -> tuple[Buffer, ...]:
        ops, product = self.operands, self.product
        fold = max((fold for fold, _ in self.folds), key=lambda each: each.elements)
        in_blocks = self.resident != "none"
        west = ops.left_bytes(self.block, product.inner if in_blocks else fold.elements)
        north, north_slots = _Fold(ops).weight_bytes(self.cols, fold), 2
        if self.order == "columns":
            north, north_slots = ops.right_bytes(self.cols, product.reduction), self.outer_slots
        if self.resident == "whole":
            north, north_slots = ops.right_bytes(product.cols, product.reduction), 1
        west_slots = self.outer_slots if in_blocks and self.order == "rows" else 2
        sums = self.block * self.cols * ops.target.arch.format.accumulator_bytes
        return (
            Buffer("west", west_slots, "west", west),
            Buffer("north", north_slots, "north", north),
            *ops.staging(west, north),
            Buffer("sums", 2, "output", sums),
            Buffer("out", 2),
        )

    def program(self) -> Program:
        ops, product = self.operands, self.product
        whole = self.resident == "whole"
        before: tuple[Node, ...] = ()
        if whole:
            before = (*ops.load_right(product.cols, product.reduction), _hold("north"))
        body = (*before, *self._outer(), *((_drop("north"),) if whole else ()))
        return Program(ARRAY, self.buffers(), delay_stores(repeat(product.count, body), "out"))

    def _outer(self) -> tuple[Node, ...]:
        ops, product = self.operands, self.product
        if self.order == "columns":
            loads, own = ops.load_right, "north"
            stages = [
                Stage(loads(run.size, product.reduction), self._held(own, self._inner_rows(run.size)), run.count)
                for run in cut(product.cols, self.cols)
            ]
        elif self.resident == "none":
            runs = cut(product.rows, self.block)
            return tuple(node for run in runs for node in repeat(run.count, self._inner_cols(run.size)))
        else:
            stages = [
                Stage(ops.load_left(run.size, product.inner), self._held("west", self._inner_cols(run.size)), run.count)
                for run in cut(product.rows, self.block)
            ]
        return prefetched(stages) if self.outer_slots > 1 else in_turn(stages)

    def _held(self, buffer: str, body: tuple[Node, ...]) -> tuple[Node, ...]:
        return _hold(buffer), *body, _drop(buffer)

    def _inner_cols(self, positions: int) -> tuple[Node, ...]:
        runs = cut(self.product.cols, self.cols)
        return tuple(node for run in runs for node in repeat(run.count, self._tile(positions, run.size)))

    def _inner_rows(self, cols: int) -> tuple[Node, ...]:
        out: list[Node] = []
        for run in cut(self.product.rows, self.block):
            load = self.operands.load_left(run.size, self.product.inner)
            out.extend(repeat(run.count, (*load, *self._held("west", self._tile(run.size, cols)))))
        return tuple(out)

    def _tile(self, positions: int, cols: int) -> tuple[Node, ...]:
        """All folds of one block of positions and columns, and the store of its sums."""
        target, product = self.operands.target, self.product
        sums = positions * cols * target.arch.format.accumulator_bytes
        final = positions * cols * product.final_bytes
        out: list[Node] = []
        for place, count in places(self.folds):
            out.extend(repeat(count, self._fold(positions, cols, place)))
        return (*out, target.store(product.output, final, sums, ("sums", "out")))

    def _fold(self, positions: int, cols: int, place: Place) -> tuple[Node, ...]:
        ops, parts, fold = self.operands, _Fold(self.operands), place.fold
        taken: tuple[str, ...] = ()
        loads: list[Command] = []
        if self.resident == "none":
            loads.extend(ops.load_left(positions, fold.elements))
            taken = ("west",)
        if self.resident != "whole" and self.order == "rows":
            loads.extend(ops.load_right(cols, parts.part(fold)))
            taken = (*taken, "north")
        ticks, stalls = parts.cycles(positions)
        compute = Command(
            ARRAY,
            ticks,
            Stall.ARRAY,
            takes=taken,
            frees=taken,
            fills=(*(("sums",) if place.first else ()), *(("out",) if place.last else ())),
            inner_stalls=stalls,
            actions=parts.actions(positions, cols, fold, seeded=not place.first),
        )
        return *loads, compute


@dataclass(frozen=True)
class _Spilled:
    """Every fold streams all positions; sums travel to DRAM and back between folds."""

    operands: Operands
    block: int

    @property
    def folds(self) -> list[tuple[Fold, int]]:
        return folds(self.operands.product.reduction, self.operands.target.array.rows)

    @property
    def depth_in_folds(self) -> int:
        return sum(count for _, count in self.folds)

    def floor_cycles(self) -> int:
        product = self.operands.product
        tiles = sum(run.count for run in cut(product.cols, self.cols))
        return _Fold(self.operands).cycles(product.rows)[0] * tiles * self.depth_in_folds * product.count

    @property
    def cols(self) -> int:
        return min(self.operands.target.array.cols, self.operands.product.cols)

    def mapping(self) -> Mapping:
        return Mapping(
            dataflow="weight-stationary",
            depth=self.operands.product.reduction.n,
            order="columns",
            resident="spill",
            block=self.block,
            pieces=sum(count for _, count in self.folds),
            inline=self.operands.inline,
        )

    def buffers(self) -> tuple[Buffer, ...]:
        ops, fold = self.operands, max((fold for fold, _ in self.folds), key=lambda each: each.elements)
        west, north = ops.left_bytes(self.block, fold.elements), _Fold(ops).weight_bytes(self.cols, fold)
        sums = self.block * self.cols * ops.target.arch.format.accumulator_bytes
        return (
            Buffer("west", 2, "west", west),
            Buffer("north", 2, "north", north),
            *ops.staging(west, north),
            Buffer("seed", 2, "output", sums),
            Buffer("out", 2, "output", sums),
        )

    def program(self) -> Program:
        product, out = self.operands.product, list[Node]()
        for run in cut(product.cols, self.cols):
            body: list[Node] = []
            for place, count in places(self.folds):
                body.extend(repeat(count, self._fold(run.size, place)))
            out.extend(repeat(run.count, body))
        return Program(ARRAY, self.buffers(), delay_stores(repeat(product.count, out), "out"))

    def _fold(self, cols: int, place: Place) -> tuple[Node, ...]:
        ops, parts = self.operands, _Fold(self.operands)
        out: list[Node] = [*ops.load_right(cols, parts.part(place.fold)), _hold("north")]
        for run in cut(ops.product.rows, self.block):
            out.extend(repeat(run.count, self._block(run.size, cols, place)))
        ticks, stalls = parts.cycles(0)
        ends = Command(ARRAY, ticks, Stall.ARRAY, frees=("north",), inner_stalls=stalls)
        return *out, ends

    def _block(self, positions: int, cols: int, place: Place) -> tuple[Node, ...]:
        ops, parts, fold = self.operands, _Fold(self.operands), place.fold
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
        return *ops.load_left(positions, fold.elements), *seed, compute, replace(store, cause=Stall.SPILL)


def _hold(buffer: str) -> Command:
    return Command(ARRAY, 0, Stall.ARRAY, takes=(buffer,))


def _drop(buffer: str) -> Command:
    return Command(ARRAY, 0, Stall.ARRAY, frees=(buffer,))


def _fitted(operands: Operands, order: str, resident: str) -> Iterator[Plan]:
    """Plans with the largest block of positions that fits, and with fractions of it; none where nothing fits."""
    rows = operands.product.rows
    for slots in (2, 1):
        blocks = _fewest_blocks(operands)
        while blocks <= rows:
            plan = _Plan(operands, order, resident, -(-rows // blocks), slots)
            if operands.target.fits(plan.buffers()):
                sizes = sorted({-(-rows // min(rows, blocks * split)) for split in SPLITS}, reverse=True)
                yield from (replace(plan, block=size) for size in sizes)
                return
            blocks *= 2


def _fewest_blocks(operands: Operands) -> int:
    """Blocks of positions that the output memory alone asks for: two slots of sums."""
    product, target = operands.product, operands.target
    capacity = target.capacity_bytes("output")
    if capacity is None:
        return 1
    sums = 2 * product.rows * min(target.array.cols, product.cols) * target.arch.format.accumulator_bytes
    return max(1, -(-sums // capacity))
