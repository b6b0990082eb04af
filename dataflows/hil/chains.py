"""From a draw to what hardware runs: tiles at the size of its array, with the values and cycles to expect of them."""

from dataclasses import dataclass
from itertools import repeat

import numpy as np

from dataflows.blocks import pieces
from dataflows.hil.operands import Block, block_of
from dataflows.hil.strata import Draw
from rtl.formats import Bits, IntFormat, encode
from rtl.golden.products import sparse_product
from rtl.packing import Packed, groups_of, pack
from rtl.parameters import Parameters
from rtl.protocol import WEIGHTS
from rtl.tiles import Tile, folds_of, output_stationary_tile, weight_stationary_tile
from rtl.timing import Reduction, output_stationary_ends, output_stationary_stream, weight_stationary_fold
from workloads.samples import LayerSample

LONGEST = 1152  # elements of a tile's reduction: two layers' worth of a 3 x 3 kernel on the 64 channels of resnet18
POSITIONS = 32  # that a weight-stationary fold streams at most


@dataclass(frozen=True)
class Expected:
    """What a tile has to give. product: (rows, cols) bit patterns, None where sums stay inside."""

    product: Bits | None
    cycles: int
    compute: int


@dataclass(frozen=True)
class Chain:
    """The tiles of a draw, one after the other, and what the models say of each.

    `cycles`: what the machine model says of all together, from the whole reduction at once. `reduction`: as it was run,
    perhaps shorter than the step's. `operands`, `nonzeros`: values that entered, kept weights among them.
    """

    draw: Draw
    tiles: tuple[Tile, ...]
    expected: tuple[Expected, ...]
    cycles: int
    reduction: Reduction
    rows: int
    cols: int
    values_from: str
    operands: int
    nonzeros: int


def chain_of(draw: Draw, sample: LayerSample, p: Parameters) -> Chain:
    """The tiles of a draw. Raises UserError where the array cannot run its pattern."""
    part = draw.stratum.part
    reduction = shortened(part.reduction)
    stationary = part.dataflow == "output-stationary"
    interleave = min(part.interleave, p.accumulators) if stationary else 1
    high = p.rows * (interleave if part.share_weights else 1) if stationary else min(POSITIONS, part.block or POSITIONS)
    wide = p.cols * (1 if part.share_weights or not stationary else interleave)
    rows, cols = _span(part.rows, high, draw.row), _span(part.cols, wide, draw.col)
    block = block_of(draw.stratum, sample, reduction, rows, cols)
    left, right = _bits(block, p)
    packed = pack(right, block.mask, reduction)
    if stationary:
        turns = -(-len(rows) // p.rows) if part.share_weights else -(-len(cols) // p.cols)
        made = _output_stationary(p, left, packed, reduction, (turns, part.share_weights))
        cycles = output_stationary_stream(p.timing, reduction, turns, part.share_weights).total
        cycles += output_stationary_ends(p.timing, turns).total
    else:
        made = _weight_stationary(p, left, packed, reduction)
        cycles = weight_stationary_fold(p.timing, len(rows), reduction.n, reduction.m).total * len(made)
    return Chain(
        draw=draw,
        tiles=tuple(tile for tile, _ in made),
        expected=tuple(expected for _, expected in made),
        cycles=cycles,
        reduction=reduction,
        rows=len(rows),
        cols=len(cols),
        values_from=sample.layer,
        operands=left.size + packed.values.size,
        nonzeros=int(np.count_nonzero(left)) + int(np.count_nonzero(packed.values)),
    )


def shortened(reduction: Reduction) -> Reduction:
    """The reduction if it is not too long for a link, otherwise as many whole groups of it and its tail."""
    if reduction.segments * reduction.length <= LONGEST:
        return reduction
    groups = max(1, LONGEST // reduction.segments // reduction.m)
    length = groups * reduction.m + reduction.length % reduction.m
    return reduction._replace(length=min(length, reduction.length))


def _span(total: int, size: int, place: float) -> np.ndarray:
    """One of the blocks of `size` that `total` is cut into."""
    first = int(place * -(-total // size)) * size
    return np.arange(first, min(first + size, total))


def _bits(block: Block, p: Parameters) -> tuple[Bits, Bits]:
    """Operands in the array's format; integers are scaled so that the largest value of a block fills the range."""
    pair = []
    for values in (block.left, block.right):
        exact = values.astype(np.float64)
        if isinstance(p.operand, IntFormat):
            exact *= ((1 << (p.operand.bits - 1)) - 1) / max(float(np.abs(exact).max(initial=0)), 1e-30)
        pair.append(encode(exact, p.operand))
    return pair[0], pair[1]


def _output_stationary(
    p: Parameters, left: Bits, right: Packed, work: Reduction, how: tuple[int, bool]
) -> list[tuple[Tile, Expected]]:
    """The reduction in pieces that fit the queues; sums stay in the array until the last."""
    along, across = (how[0], 1) if how[1] else (1, how[0])
    parts = _pieces(work, p.buffer // along, WEIGHTS // across)
    product = sparse_product(left, right, p.operand)
    made, start, first = [], 0, 0
    for number, part in enumerate(parts):
        last, size = number == len(parts) - 1, part.segments * part.length
        held = Packed(right.values[first : first + part.kept], right.positions[first : first + part.kept] - start)
        slab = left[:, start : start + size]
        tile = output_stationary_tile(p, slab, held, part, *how, fresh=number == 0, drain=last)
        made.append((tile, Expected(product if last else None, tile.cycles, tile.compute)))
        start, first = start + size, first + part.kept
    return made


def _pieces(work: Reduction, groups: int, weights: int) -> list[Reduction]:
    """The reduction cut so that no piece has more groups or kept weights than wait in a queue."""
    most = min(groups, weights // work.n) * work.m
    while True:
        parts = [each for part, count in pieces(work, most) for each in repeat(part, count)]
        if most <= work.m or all(part.groups <= groups and part.kept <= weights for part in parts):
            return parts
        most = max(work.m, most // 2)


def _weight_stationary(p: Parameters, left: Bits, right: Packed, work: Reduction) -> list[tuple[Tile, Expected]]:
    """Every fold, seeded with the sums that the golden model has for those before it."""
    made, sums = [], None
    groups = groups_of(work)
    for fold in range(folds_of(p, work)):
        held = groups[fold * p.rows : (fold + 1) * p.rows]
        part = slice(held[0].first, held[-1].first + held[-1].kept)
        tile = weight_stationary_tile(p, left, right, work, fold, sums)
        sums = sparse_product(left, Packed(right.values[part], right.positions[part]), p.operand, sums)
        made.append((tile, Expected(sums, tile.cycles, tile.compute)))
    return made
