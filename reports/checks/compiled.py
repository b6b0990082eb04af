"""Random products on the compiled array, beside the model's cycles and the golden sums. Needs the extra `rtl`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtl.formats import Bits, Packed, groups_of, pack
from rtl.golden.products import sparse_product
from rtl.in_process import CompiledArray
from rtl.parameters import make_parameters
from rtl.tiles import Tile, folds_of, output_stationary_tile, weight_stationary_tile
from rtl.timing import Reduction
from workloads.pattern import parse_pattern


@dataclass(frozen=True)
class Compared:
    """Cycles of the RTL and of the model, sums that agree bit for bit, and all sums."""

    cycles: int = 0
    model_cycles: int = 0
    right_sums: int = 0
    sums: int = 0

    def __add__(self, other: "Compared") -> "Compared":
        mine, theirs = vars(self).values(), vars(other).values()
        return Compared(*(one + two for one, two in zip(mine, theirs, strict=True)))


def compared(pattern: str, rows: int, cols: int, form: str, products: int, seed: int) -> Compared:
    """So many random products in both dataflows. Raises UserError where the RTL cannot be compiled."""
    array = CompiledArray(make_parameters(parse_pattern(pattern), rows, cols, form, accumulators=6))
    rng, total = np.random.default_rng(seed), Compared()
    for _ in range(products):
        m = int(rng.integers(1, 9))
        n = int(rng.integers(1, min(m, array.parameters.weights) + 1))
        work = Reduction(int(rng.integers(1, 4)), int(rng.integers(1, 40)), n, m)
        inner = work.segments * work.length
        left = rng.integers(0, 256, (rows, inner)).astype(np.uint8)
        weights = rng.integers(0, 256, (inner, cols)).astype(np.uint8)
        total += _product(array, left, pack(weights, _mask(work, cols, rng), work), work)
    return total


def _mask(work: Reduction, cols: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """As many kept in every group as may be, by chance."""
    mask = np.zeros((work.segments * work.length, cols), bool)
    for group in groups_of(work):
        order = np.argsort(rng.random((group.size, cols)), axis=0)[: group.kept]
        np.put_along_axis(mask[group.start : group.start + group.size], order, True, 0)
    return mask


def _product(array: CompiledArray, left: Bits, right: Packed, work: Reduction) -> Compared:
    """One product in both dataflows."""
    p, wanted = array.parameters, sparse_product(left, right, array.parameters.operand)
    total, _ = _ran(array, output_stationary_tile(p, left, right, work, 1, True), wanted)
    sums: Bits | None = None
    for fold in range(folds_of(p, work)):
        found, sums = _ran(array, weight_stationary_tile(p, left, right, work, fold, sums), None)
        total += found
    return total + _agreeing(sums, wanted)


def _ran(array: CompiledArray, tile: Tile, wanted: Bits | None) -> tuple[Compared, Bits]:
    """What a tile took, and its sums, compared where those wanted are given: a fold has only parts of them."""
    ran = array.run(tile)
    found = Compared(ran.counters["cycles"], tile.cycles)
    return (found if wanted is None else found + _agreeing(ran.product, wanted)), ran.product


def _agreeing(sums: Bits | None, wanted: Bits) -> Compared:
    assert sums is not None
    return Compared(right_sums=int(np.equal(sums, wanted).sum()), sums=wanted.size)
