"""Tiles for hardware in the loop, as each dataflow's controller would run them, with the golden model's values."""

from itertools import repeat

from dataflows.systolic.target import pieces
from rtl.formats import Bits, Packed, groups_of
from rtl.golden.products import sparse_product
from rtl.parameters import Parameters
from rtl.tiles import Tile, folds_of, output_stationary_tile, weight_stationary_tile
from rtl.timing import Reduction, output_stationary_ends, output_stationary_stream, weight_stationary_fold
from simulator.hil.cut import Cut, Expected
from simulator.schedule import ArrayPart

POSITIONS = 32  # that a weight-stationary fold streams at most


def output_stationary_extent(part: ArrayPart, p: Parameters) -> tuple[int, int]:
    """Rows and columns of a tile: as many outputs a PE as the product interleaves and the PE has accumulators."""
    interleave = min(part.interleave, p.accumulators)
    return (p.rows * interleave, p.cols) if part.share_weights else (p.rows, p.cols * interleave)


def cut_output_stationary(part: ArrayPart, p: Parameters, left: Bits, right: Packed, work: Reduction) -> Cut:
    """The reduction in pieces that fit the array's memories; sums stay in the array until the last."""
    rows, cols = left.shape[0], right.values.shape[1]
    turns = -(-rows // p.rows) if part.share_weights else -(-cols // p.cols)
    along, across = (turns, 1) if part.share_weights else (1, turns)
    parts = _pieces(p, work, along, across)
    product = sparse_product(left, right, p.operand)
    made, start, first = [], 0, 0
    for number, piece in enumerate(parts):
        last, size = number == len(parts) - 1, piece.segments * piece.length
        held = Packed(right.values[first : first + piece.kept], right.positions[first : first + piece.kept] - start)
        slab = left[:, start : start + size]
        how = (turns, part.share_weights)
        tile = output_stationary_tile(p, slab, held, piece, *how, fresh=number == 0, drain=last)
        made.append((tile, Expected(product if last else None, tile.cycles, tile.compute)))
        start, first = start + size, first + piece.kept
    cycles = output_stationary_stream(p.timing, work, turns, part.share_weights).total
    return _cut(made, cycles + output_stationary_ends(p.timing, turns).total)


def _pieces(p: Parameters, work: Reduction, along: int, across: int) -> list[Reduction]:
    """The reduction cut so that the memories hold all of a piece, and half of them if a group is no more than that.

    So the next piece comes in while one is under way.
    """
    group = -(-work.m // p.west_link) * along
    words, weights = max(group, p.row_depth // 2), max(across * work.n, p.column_depth // 2)
    most = min(words // group, weights // (across * work.n)) * work.m
    while True:
        parts = [each for part, count in pieces(work, most) for each in repeat(part, count)]
        fit = (each.groups * group <= words and each.kept * across <= weights for each in parts)
        if most <= work.m or all(fit):
            return parts
        most = max(work.m, most // 2)


def weight_stationary_extent(part: ArrayPart, p: Parameters) -> tuple[int, int]:
    """Rows and columns of a tile: as many positions as the product streams a fold, and every column."""
    return min(POSITIONS, part.block or POSITIONS), p.cols


def cut_weight_stationary(part: ArrayPart, p: Parameters, left: Bits, right: Packed, work: Reduction) -> Cut:
    """Every fold, seeded with the sums that the golden model has for those before it."""
    made, sums = [], None
    groups = groups_of(work)
    for fold in range(folds_of(p, work)):
        held = groups[fold * p.rows : (fold + 1) * p.rows]
        inside = slice(held[0].first, held[-1].first + held[-1].kept)
        tile = weight_stationary_tile(p, left, right, work, fold, sums)
        sums = sparse_product(left, Packed(right.values[inside], right.positions[inside]), p.operand, sums)
        made.append((tile, Expected(sums, tile.cycles, tile.compute)))
    return _cut(made, weight_stationary_fold(p.timing, left.shape[0], work.n, work.m).total * len(made))


def _cut(made: list[tuple[Tile, Expected]], cycles: int) -> Cut:
    return Cut(tuple(tile for tile, _ in made), tuple(expected for _, expected in made), cycles)
