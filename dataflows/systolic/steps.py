"""The blocks and runs of a plan in the order of its loops, with their places in the product.

A program says which engine does what when, and counts; here are the same loops with coordinates.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from dataflows.systolic.output_stationary import StreamedPlan
from dataflows.systolic.slots import Part
from dataflows.systolic.spilled_sums import InFolds, SpilledSums
from dataflows.systolic.weight_stationary import FoldedPlan
from rtl.timing import Reduction


@dataclass(frozen=True)
class Left:
    """A block of the left operand comes on chip."""

    number: int
    lines: range
    part: Part


@dataclass(frozen=True)
class Right:
    """A block of the right operand does."""

    number: int
    columns: range
    part: Part


@dataclass(frozen=True)
class Seeds:
    """Sums of a tile come back from DRAM."""

    number: int
    rows: range
    columns: range


@dataclass(frozen=True)
class RunStep:
    """A run of the array on a tile. left, right: the blocks that it reads.

    turns: outputs a PE, and whether they share weights; 0 where weights are stationary. first: it begins the tile's
    sums. drains: it is their way out.
    """

    rows: range
    columns: range
    part: Part
    left: Left
    right: Right
    first: bool
    turns: int = 0
    shares: bool = True
    drains: bool = False


@dataclass(frozen=True)
class Stored:
    """Sums of a tile leave; final: they are results."""

    number: int
    rows: range
    columns: range
    final: bool = True


Step = Left | Right | Seeds | RunStep | Stored


def streamed_steps(plan: StreamedPlan) -> Iterator[Step]:
    """Output stationary: tiles, whose reduction comes in pieces where operands stream."""
    product, taken = plan.product, plan.taken()
    whole = Part(0, product.reduction.groups)
    parts = list(_parts([*plan.streamed()] if taken else [(plan.whole, 1)]))
    rows, cols = _tiles(product.rows, plan.tile_rows), _tiles(product.cols, plan.tile_cols)
    for number in range(product.count):
        left, right = Left(number, range(product.rows), whole), Right(number, range(product.cols), whole)
        kinds = plan.kinds()
        if kinds[0] == "whole":
            yield left
        if kinds[1] == "whole":
            yield right
        for outer in rows if plan.rows_outer else cols:
            if kinds[0] == "block":
                left = Left(number, outer, whole)
                yield left
            if kinds[1] == "block":
                right = Right(number, outer, whole)
                yield right
            for inner in cols if plan.rows_outer else rows:
                tile = (outer, inner) if plan.rows_outer else (inner, outer)
                turns = plan.turns(len(tile[0]), len(tile[1]))
                for part in parts:
                    if "west" in taken:
                        left = Left(number, tile[0], part)
                        yield left
                    if "north" in taken:
                        right = Right(number, tile[1], part)
                        yield right
                    yield RunStep(*tile, part, left, right, part.start == 0, turns, plan.along_rows)
                yield RunStep(*tile, whole, left, right, False, turns, plan.along_rows, drains=True)
                yield Stored(number, *tile)


def folded_steps(plan: FoldedPlan) -> Iterator[Step]:
    """Weight stationary: blocks of positions whose sums stay on chip through all folds."""
    product = plan.product
    whole = Part(0, product.reduction.groups)
    blocks, tiles, folds = _tiles(product.rows, plan.block), _tiles(product.cols, plan.cols), list(_folds(plan))
    by_columns = plan.order == "columns"
    for number in range(product.count):
        left, right = Left(number, range(0), whole), Right(number, range(product.cols), whole)
        if plan.resident == "whole":
            yield right
        for outer in tiles if by_columns else blocks:
            if by_columns:
                right = Right(number, outer, whole)
                yield right
            elif plan.resident != "none":
                left = Left(number, outer, whole)
                yield left
            for inner in blocks if by_columns else tiles:
                tile = (inner, outer) if by_columns else (outer, inner)
                if by_columns:
                    left = Left(number, inner, whole)
                    yield left
                for fold in folds:
                    if plan.resident == "none":
                        left = Left(number, tile[0], fold)
                        yield left
                    if plan.resident != "whole" and not by_columns:
                        right = Right(number, tile[1], fold)
                        yield right
                    yield RunStep(*tile, fold, left, right, fold.start == 0)
                yield Stored(number, *tile)


def spilled_steps(plan: SpilledSums) -> Iterator[Step]:
    """Weight stationary: every fold streams all positions, and sums travel to DRAM and back."""
    product, folds = plan.product, list(_folds(plan))
    for number in range(product.count):
        for columns in _tiles(product.cols, plan.cols):
            for fold in folds:
                right = Right(number, columns, fold)
                yield right
                for rows in _tiles(product.rows, plan.block_size):
                    left = Left(number, rows, fold)
                    yield left
                    if fold.start:
                        yield Seeds(number, rows, columns)
                    yield RunStep(rows, columns, fold, left, right, fold.start == 0)
                    yield Stored(number, rows, columns, final=fold is folds[-1])


def _tiles(total: int, size: int) -> list[range]:
    return [range(start, min(start + size, total)) for start in range(0, total, size)]


def _parts(pieces: list[tuple[Reduction, int]]) -> Iterator[Part]:
    """Pieces of a reduction by the groups that they have."""
    start = 0
    for part, count in pieces:
        for _ in range(count):
            yield Part(start, start + part.groups)
            start += part.groups


def _folds(plan: InFolds) -> Iterator[Part]:
    start = 0
    for fold, count in plan.folds:
        for _ in range(count):
            yield Part(start, start + fold.groups)
            start += fold.groups
