"""Output stationary: outputs stay in the PEs, operands stream past.

A tile is R x C outputs, I times over: along the rows of the product, where the I outputs of a PE share each weight,
or along its columns, where they share operands. Loops over tiles keep a block of one operand on chip.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from dataflows import systolic
from dataflows.systolic.depths import depths, is_narrow
from dataflows.systolic.lowering import Product
from dataflows.systolic.mapping import Dataflow, Draft, Family, Mapping, Plan
from dataflows.systolic.operands import Held, Load, OnOperands, Operands
from dataflows.systolic.target import ARRAY, Stage, Target, cut, drop, hold, in_turn, pieces, prefetched, repeat, share
from dataflows.systolic.traffic import Traffic
from rtl.timing import Array, Reduction
from simulator.program import Action, Buffer, Command, Node, Program, Stall, delay_stores
from simulator.schedule import ArrayPart

if TYPE_CHECKING:
    from rtl.core.bound import Bound
    from rtl.formats import Bits, Packed
    from rtl.parameters import Parameters
    from simulator.hil.cut import Cut

SHORTEST_RUN = 8  # pieces a stream is cut into at least when its loads are to overlap its own work


class OutputStationary(Dataflow):
    """The compiler. Its mappings differ in interleave, loop order, what is resident and the size of a piece."""

    name = "output-stationary"

    def drafts(self, target: Target, product: Product) -> Iterator[Draft]:
        every = depths(target, product)
        every = every if is_narrow(target) else every[:1]
        several = [Operands(target, product, False).at_depth(depth) for depth in every]
        for interleave, along_rows in _interleaves(target, product):
            tile = _tile_size(several[0], interleave, along_rows)
            how = (interleave, along_rows, *tile, True, "whole", product.inner)
            floor = min(StreamedPlan(operands, *how).floor_cycles() for operands in several)
            yield Draft(floor, partial(_families, several[0], interleave, along_rows, floor))

    def tile_extent(self, part: ArrayPart, p: "Parameters") -> tuple[int, int]:
        return systolic.output_stationary_extent(part, p)

    def cut(self, part: ArrayPart, p: "Parameters", left: "Bits", right: "Packed", reduction: Reduction) -> "Cut":
        return systolic.cut_output_stationary(part, p, left, right, reduction)


def _families(packed: Operands, interleave: int, along_rows: bool, floor_cycles: int, inline: bool) -> Iterator[Family]:
    operands = packed.with_inline(inline)
    tile = _tile_size(packed, interleave, along_rows)
    for rows_outer in (True, False):
        for resident in ("whole", "block", "none"):
            how = (interleave, along_rows, *tile, rows_outer, resident, operands.product.inner)
            longest = StreamedPlan(operands, *how, array_cycles=floor_cycles)
            if resident == "none" and not rows_outer and longest.is_one_line:
                continue  # the same tiles in the same order
            yield Family(partial(_lengths, longest), usual=resident == "none")


def _lengths(longest: "StreamedPlan", limit: int | None = None) -> Iterator[Plan]:
    """The plan with the largest pieces that fit, and one whose loads overlap its own work.

    Pieces are of whole groups, so a depth of 8 cuts 100 elements into 13 pieces of 8 where one of 6 makes 9 of 12: each
    plan has the deepest groups of which a piece can hold the most. Where a link is behind, every depth is tried.
    """
    if limit is not None and longest.any_pieces_cycles() >= limit:
        return
    target, fitted = longest.operands.target, _fitted(longest)
    every = depths(target, longest.product)
    if fitted is None and _element_fits(longest.at_depth(every[-1])):  # so a piece of shallower groups may fit
        fitted = next((plan for each in every[1:] if (plan := _fitted(longest.at_depth(each)))), None)
    if fitted is None:
        return
    plans = [*_at_depths(fitted, every)]
    shorter = max(1, -(-fitted.product.inner // SHORTEST_RUN))
    if fitted.resident != "whole" and shorter < fitted.most:
        plans += _at_depths(replace(fitted, most=shorter), every)
    yield from (plan for plan in dict.fromkeys(plans) if plan.fits())


def _at_depths(plan: "StreamedPlan", every: range) -> Iterator["StreamedPlan"]:
    """The plan at the depth that makes its pieces largest, of those the deepest; at all where a link is behind."""
    if is_narrow(plan.operands.target):
        yield from (plan.at_depth(each) for each in every)
    elif plan.resident == "whole" or len(every) == 1:
        yield plan.at_depth(every[0])
    else:
        # a group begins a new word of its bank, so that shallow groups take more room
        best = sorted(every, key=lambda depth: -_piece(plan.whole, depth, plan.most))
        yield next((each for depth in best if (each := plan.at_depth(depth)).fits()), plan.at_depth(best[0]))


def _piece(reduction: Reduction, depth: int, most: int) -> int:
    """Elements of the first of `pieces` of dense work; none where not even a group is as short as that."""
    if reduction.segments > 1 and reduction.length <= most:
        return most // reduction.length * reduction.length
    whole = max(1, most // depth) * depth
    return min(reduction.length, whole) if whole <= most else 0


def _interleaves(target: Target, product: Product) -> list[tuple[int, bool]]:
    """Interleaves worth a try, each along the rows (True) or the columns."""
    array = target.array
    most = target.arch.array.accumulators if target.arch.schedule.interleave else 1
    chosen = {(1, True)}
    for along_rows, blocks in ((True, -(-product.rows // array.rows)), (False, -(-product.cols // array.cols))):
        for each in range(2, min(most, blocks) + 1):
            tiles = -(-blocks // each)
            chosen.add((-(-blocks // tiles), along_rows))  # the least that makes as few tiles: all tiles about alike
    return sorted(choice for choice in chosen if choice[0] > 1 or choice == (1, True))


def _tile_size(operands: Operands, interleave: int, along_rows: bool) -> tuple[int, int]:
    """Rows and columns of the product in a tile."""
    array, product = operands.target.array, operands.product
    rows, cols = (interleave, 1) if along_rows else (1, interleave)
    return min(array.rows * rows, product.rows), min(array.cols * cols, product.cols)


@dataclass(frozen=True)
class StreamedPlan(OnOperands):
    """One mapping of one product; `most` elements of the reduction are loaded at once where operands stream."""

    interleave: int
    along_rows: bool
    tile_rows: int
    tile_cols: int
    rows_outer: bool
    resident: str
    most: int
    outer_slots: int = 2
    array_cycles: int = 0  # the floor, where it is known: it does not hang on what is resident

    @property
    def is_one_line(self) -> bool:
        """Whether the tiles lie in one row or column."""
        return self.tile_rows >= self.product.rows or self.tile_cols >= self.product.cols

    @property
    def whole(self) -> Reduction:
        return self.product.reduction

    def variant(self, operands: Operands, most: int, outer_slots: int) -> "StreamedPlan":
        how = (self.interleave, self.along_rows, self.tile_rows, self.tile_cols, self.rows_outer, self.resident)
        return StreamedPlan(operands, *how, most, outer_slots, self.array_cycles)

    def at_depth(self, depth: int) -> "StreamedPlan":
        """The same in groups of another depth. The floor of the draft holds for all of them."""
        if depth == self.whole.n:
            return self
        return self.variant(self.operands.at_depth(depth), self.most, self.outer_slots)

    def streamed(self) -> tuple[tuple[Reduction, int], ...]:
        return pieces(self.whole, self.most)

    def mapping(self) -> Mapping:
        return Mapping(
            depth=self.whole.n,
            interleave=self.interleave,
            shared=("weights" if self.along_rows else "operands") if self.interleave > 1 else "",
            order="rows" if self.rows_outer else "columns",
            resident=self.resident,
            pieces=sum(count for _, count in self.streamed()),
            inline=self.operands.inline,
        )

    def buffers(self) -> tuple[Buffer, ...]:
        west, north, results = self._held()
        return (*self.operands.buffers(west, north), Buffer("out", 2, "output", results))

    def fits(self) -> bool:
        west, north, results = self._held()
        return self.operands.room(west, north, 2 * results)

    def _held(self) -> tuple[Held, Held, int]:
        """Slots of both operands, and the bytes of a tile's results."""
        ops, rows, cols = self.operands, self.tile_rows, self.tile_cols
        part, _ = self.streamed()[0]  # none of the others is larger
        kinds = self.kinds()
        banks, west_part = ops.target.banks, part if kinds[0] == "piece" else self.whole
        west_rows = self.product.rows if kinds[0] == "whole" else rows
        shape = self.product.left_shape(west_rows, west_part.segments * west_part.length)
        west = ops.west_room(banks.streamed_rows(shape, west_part.segments, west_part.m))
        held = share(part if kinds[1] == "piece" else self.whole)
        north_cols = self.product.cols if kinds[1] == "whole" else cols
        north = ops.north_room(banks.weights(north_cols, held.kept))
        return (
            Held(self._slots(kinds[0]), west, ops.left_bytes(west_rows, share(west_part))),
            Held(self._slots(kinds[1]), north, ops.loaded(north_cols, held)),
            banks.sums(rows, cols) * ops.target.arch.format.accumulator_bytes,
        )

    def floor_cycles(self) -> int:
        return self.array_cycles or self._array_cycles()

    def _array_cycles(self) -> int:
        rows, cols = cut(self.product.rows, self.tile_rows), cut(self.product.cols, self.tile_cols)
        turning, steady = (rows, cols) if self.along_rows else (cols, rows)
        total = 0
        for run in turning:
            turns = self.turns(run.size, run.size)
            stream = self.operands.target.stream(self.whole, turns, self.along_rows)
            total += run.count * (stream.total + self.operands.target.ends(turns).total)
        return total * sum(run.count for run in steady) * self.product.count

    def least_cycles(self) -> int:
        how = (self.streamed(), self.kinds(), self.rows_outer, self.outer_slots)
        rows, cols = cut(self.product.rows, self.tile_rows), cut(self.product.cols, self.tile_cols)
        return Traffic(self.operands, rows, cols, *how).least_cycles(self.floor_cycles())

    def any_pieces_cycles(self) -> int:
        """A floor for pieces of any size: what holds for a whole tile of the operands that stay."""
        ops, product, kinds = self.operands, self.product, self.kinds()
        last_rows, last_cols = product.rows % self.tile_rows, product.cols % self.tile_cols
        last = ops.store_ticks(last_rows or self.tile_rows, last_cols or self.tile_cols)
        ends = ops.first_ticks(self._first_loads(kinds)) + ops.target.array.latency + last
        return max(self.floor_cycles() + ends, ops.moved_ticks(*self._passes()))

    def least_bytes(self) -> int:
        return self.product.count * self.operands.moved_bytes(*self._passes())

    def _passes(self) -> tuple[int, int]:
        """How often each operand comes on chip."""
        row_tiles, col_tiles = -(-self.product.rows // self.tile_rows), -(-self.product.cols // self.tile_cols)
        left, right = self.kinds()
        return col_tiles if left == "piece" else 1, row_tiles if right == "piece" else 1

    def _first_loads(self, kinds: tuple[str, str]) -> list[Load]:
        """Those without which no tile begins, pieces left out."""
        ops, product, loads = self.operands, self.product, list[Load]()
        if kinds[0] != "piece":
            loads.append(ops.left_load(self.tile_rows if kinds[0] == "block" else product.rows, share(self.whole)))
        if kinds[1] != "piece":
            loads.append(ops.right_load(self.tile_cols if kinds[1] == "block" else product.cols, share(self.whole)))
        return loads

    @property
    def _array(self) -> Array:
        return self.operands.target.array

    def kinds(self) -> tuple[str, str]:
        """How much of the left and of the right operand a slot holds."""
        outer = "piece" if self.resident == "none" else "block"
        inner = "whole" if self.resident == "whole" else "piece"
        return (outer, inner) if self.rows_outer else (inner, outer)

    def _slots(self, kind: str) -> int:
        return {"piece": 2, "block": self.outer_slots, "whole": 1}[kind]

    def program(self) -> Program:
        body = self._whole_load() + self._outer() + self._whole_drop()
        body = delay_stores(repeat(self.product.count, body), "out")
        return Program(ARRAY, self.buffers(), body)

    def bound(self) -> "Iterator[tuple[Command, Bound]]":
        tile = self.tile_rows, self.tile_cols
        return systolic.bound(self.operands, self.program(), systolic.streamed_steps(self), tile)

    def _whole_load(self) -> tuple[Node, ...]:
        if self.resident != "whole":
            return ()
        ops, product = self.operands, self.product
        if self.rows_outer:
            return (*ops.load_right(product.cols, share(self.whole)), hold("north"))
        return (*ops.load_left(product.rows, share(self.whole)), hold("west"))

    def _whole_drop(self) -> tuple[Node, ...]:
        return (drop("north" if self.rows_outer else "west"),) if self.resident == "whole" else ()

    def _outer(self) -> tuple[Node, ...]:
        product = self.product
        runs = cut(product.rows, self.tile_rows) if self.rows_outer else cut(product.cols, self.tile_cols)
        if self.resident == "none":
            return tuple(node for run in runs for node in repeat(run.count, self._inner(run.size)))
        own = "west" if self.rows_outer else "north"
        stages = []
        for run in runs:
            load = self.operands.load_left(run.size, share(self.whole)) if self.rows_outer else (
                self.operands.load_right(run.size, share(self.whole))
            )  # fmt: skip
            stages.append(Stage(load, (hold(own), *self._inner(run.size), drop(own)), run.count))
        return prefetched(stages) if self.outer_slots > 1 else in_turn(stages)

    def _inner(self, outer_size: int) -> tuple[Node, ...]:
        out: list[Node] = []
        if self.rows_outer:
            for run in cut(self.product.cols, self.tile_cols):
                out.extend(repeat(run.count, self._tile(outer_size, run.size)))
        else:
            for run in cut(self.product.rows, self.tile_rows):
                out.extend(repeat(run.count, self._tile(run.size, outer_size)))
        return tuple(out)

    def _tile(self, rows: int, cols: int) -> tuple[Node, ...]:
        """One tile: the pieces of its reduction, the way out of the array, the store."""
        ops, taken = self.operands, self.taken()
        out: list[Node] = []
        parts = self.streamed() if taken else ((self.whole, 1),)
        for part, count in parts:
            loads: list[Command] = []
            if "west" in taken:
                loads.extend(ops.load_left(rows, share(part)))
            if "north" in taken:
                loads.extend(ops.load_right(cols, share(part)))
            out.extend(repeat(count, (*loads, self._compute(rows, cols, part, taken))))
        ends = ops.target.ends(self.turns(rows, cols))
        results = rows * cols * ops.target.arch.format.accumulator_bytes
        across = -(-min(rows, self._array.rows) // 2)  # results leave through the rows below them, on average half
        drain = (
            Action("output.write", self.product.output, results),
            Action("hop", self.product.output, results * across if self._array.drains else 0),
        )
        stalls = ((Stall.FILL_DRAIN, ends.total),)
        latency = self._array.latency
        leave = Command(
            ARRAY, ends.total, Stall.ARRAY, fills=("out",), latency=latency, inner_stalls=stalls, actions=drain
        )
        return (*out, leave, ops.store(rows, cols, "out"))

    def taken(self) -> tuple[str, ...]:
        """Buffers that a piece of a tile takes a slot of."""
        if self.resident == "whole":
            return ()
        if self.resident == "block":
            return ("north",) if self.rows_outer else ("west",)
        return ("west", "north")

    def turns(self, rows: int, cols: int) -> int:
        return -(-rows // self._array.rows) if self.along_rows else -(-cols // self._array.cols)

    def _compute(self, rows: int, cols: int, part: Reduction, taken: tuple[str, ...]) -> Command:
        ops, product = self.operands, self.product
        cycles = ops.target.stream(part, self.turns(rows, cols), self.along_rows)
        stalls = ((Stall.LATENCY, cycles.latency), (Stall.LINKS, cycles.links), (Stall.FILL_DRAIN, cycles.fill_drain))
        macs = rows * cols * part.kept
        west = rows * part.segments * part.length * ops.target.operand_bytes
        north = ops.right_bytes(cols, share(part))
        actions = (
            Action("mac", product.right, macs),
            *ops.selects(macs),
            Action("west.read", product.left, west),
            Action("north.read", product.right, north),
            Action("hop", product.left, west * min(cols, self._array.cols)),
            Action("hop", product.right, north * min(rows, self._array.rows)),
        )
        return Command(ARRAY, cycles.total, Stall.ARRAY, takes=taken, frees=taken, inner_stalls=stalls, actions=actions)


def _fitted(longest: StreamedPlan) -> StreamedPlan | None:
    """The plan with the largest pieces that fit; None where nothing fits."""
    product = longest.product
    for slots in (2, 1):
        size = min(longest.most, _largest_piece(longest))
        while True:
            for operands in longest.operands.stagings:
                plan = longest.variant(operands, size, slots)
                if plan.fits():
                    return plan
            if longest.resident == "whole" or size <= product.reduction.m:
                break
            size = max(product.reduction.m, size // 2)
    return None


def _element_fits(longest: StreamedPlan) -> bool:
    """Whether a piece of one group fits; the smallest there is where groups are as shallow as they can be."""
    if longest.resident == "whole":  # whatever the depth, both operands are there as a whole, which did not fit
        return False
    return any(longest.variant(each, longest.whole.m, 1).fits() for each in longest.operands.stagings)


def _largest_piece(plan: StreamedPlan) -> int:
    """A piece no larger one of which can fit, with room to spare for elements that neighbours share."""
    target, sizes = plan.operands.target, []
    for memory, lines in (("west", plan.tile_rows), ("north", plan.tile_cols)):
        capacity = target.capacity_bytes(memory)
        if capacity is not None and plan.product.positions_inner:
            sizes.append(4 * capacity // (2 * lines * target.operand_bytes))
    return max(plan.product.reduction.m, min(sizes, default=plan.most))
