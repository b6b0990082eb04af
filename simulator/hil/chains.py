"""From a draw to what hardware runs: tiles at the size of its array, with the values and cycles to expect of them."""

from dataclasses import dataclass

import numpy as np

from rtl.formats import Bits, IntFormat, encode, pack
from rtl.parameters import Parameters
from rtl.tiles import Tile
from rtl.timing import Reduction
from simulator.hil.cut import CutsTiles, Expected
from simulator.hil.operands import Block, block_of
from simulator.hil.strata import Draw
from workloads.registry import DATAFLOWS, load_entry
from workloads.samples import LayerSample

LONGEST = 1152  # elements of a tile's reduction: two layers' worth of a 3 x 3 kernel on the 64 channels of resnet18


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
    """The tiles of a draw, cut by the dataflow that carries its product out.

    Raises UserError where the array cannot run its pattern.
    """
    part = draw.stratum.part
    reduction = shortened(part.reduction)
    dataflow: CutsTiles = load_entry(DATAFLOWS, "dataflow", part.dataflow)()
    high, wide = dataflow.tile_extent(part, p)
    rows, cols = _span(part.rows, high, draw.row), _span(part.cols, wide, draw.col)
    block = block_of(draw.stratum, sample, reduction, rows, cols)
    left, right = _bits(block, p)
    packed = pack(right, block.mask, reduction)
    made = dataflow.cut(part, p, left, packed, reduction)
    return Chain(
        draw=draw,
        tiles=made.tiles,
        expected=made.expected,
        cycles=made.cycles,
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
