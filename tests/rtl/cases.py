"""Random tiles for the array, and running them against the golden model and the timing function."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from rtl.formats import Bits, FloatFormat, Packed, dtype_of, encode, groups_of, pack
from rtl.golden.products import sparse_product
from rtl.in_process import CompiledArray
from rtl.parameters import Parameters
from rtl.tiles import folds_of, output_stationary_tile, weight_stationary_tile
from rtl.timing import Reduction

DEEP = {"row_depth": 2048, "column_depth": 2048, "results": 2048}  # for tiles that the usual memories do not hold


def operands(form: object, shape: tuple[int, int], rng: Generator, kind: str = "values") -> Bits:
    """Bit patterns: `values` of a normal distribution, any `bits`, or `corners` (every class, both signs)."""
    bits = form.bits  # type: ignore[attr-defined]
    unsigned = dtype_of(form)  # type: ignore[arg-type]
    if kind == "bits" or not isinstance(form, FloatFormat):
        return rng.integers(0, 1 << bits, shape).astype(unsigned)
    if kind == "values":
        return encode(rng.standard_normal(shape), form)
    one = form.bias << form.fraction_bits
    positive = [0, 1, (1 << form.fraction_bits) - 1, 1 << form.fraction_bits, one, one + 1, form.infinity - 1]
    positive += [form.infinity, form.nan]
    every = np.array([sign << (bits - 1) | each for sign in (0, 1) for each in positive])
    return rng.choice(every, shape).astype(unsigned)


def random_mask(work: Reduction, cols: int, rng: Generator) -> np.ndarray:
    """(inner, cols): as many kept in every group as may be."""
    mask = np.zeros((work.segments * work.length, cols), bool)
    for group in groups_of(work):
        order = np.argsort(rng.random((group.size, cols)), axis=0)[: group.kept]
        np.put_along_axis(mask[group.start : group.start + group.size], order, True, 0)
    return mask


def random_work(p: Parameters, rng: Generator, longest: int = 40) -> Reduction:
    """Any pattern the array can run, on a reduction with tails; n:n is dense work."""
    m = int(rng.integers(1, p.m + 1))
    n = int(rng.integers(1, min(m, p.weights) + 1))
    return Reduction(int(rng.integers(1, 4)), int(rng.integers(1, longest)), n, m)


@dataclass
class Tally:
    """What was run, and what differed: sums, cycles, cycles spent waiting although all streams went on."""

    tiles: int = 0
    operations: int = 0
    sums: int = 0
    wrong_sums: int = 0
    wrong_cycles: int = 0
    waited: int = 0

    @property
    def differences(self) -> tuple[int, int, int]:
        return self.wrong_sums, self.wrong_cycles, self.waited


def run_output_stationary(
    array: CompiledArray,
    left: Bits,
    right: Packed,
    work: Reduction,
    choice: tuple[int, bool],
    tally: Tally,
    gaps: int = 0,
    seeds: Bits | None = None,
) -> Bits:
    """One tile; `choice` is interleave and whether weights are shared."""
    p = array.parameters
    tile = output_stationary_tile(p, left, right, work, *choice, seeds)
    ran = array.run(tile, gaps, tally.tiles)
    _tally(tally, tile.cycles, tile.compute, ran.counters, gaps)
    tally.operations += tile.compute * p.rows * p.cols
    compare(tally, ran.product, sparse_product(left, right, p.operand, seeds))
    return ran.product


def run_weight_stationary(
    array: CompiledArray,
    left: Bits,
    right: Packed,
    work: Reduction,
    tally: Tally,
    gaps: int = 0,
    seeds: Bits | None = None,
) -> Bits:
    """All folds of a product, each seeded with the sums of the one before."""
    p, sums = array.parameters, seeds
    for fold in range(folds_of(p, work)):
        tile = weight_stationary_tile(p, left, right, work, fold, sums)
        ran = array.run(tile, gaps, tally.tiles)
        _tally(tally, tile.cycles, tile.compute, ran.counters, gaps)
        tally.operations += tile.compute * p.rows * p.cols
        sums = ran.product
    assert sums is not None
    compare(tally, sums, sparse_product(left, right, p.operand, seeds))
    return sums


def run_random(array: CompiledArray, rng: Generator, tally: Tally, kind: str = "values", gaps: int = 0) -> None:
    """One random product in a random dataflow."""
    p = array.parameters
    work = random_work(p, rng)
    inner = work.segments * work.length
    if rng.random() < 0.5:
        interleave, share = int(rng.integers(1, p.accumulators + 1)), bool(rng.integers(2))
        rows = int(rng.integers(1, p.rows * (interleave if share else 1) + 1))
        cols = int(rng.integers(1, p.cols * (1 if share else interleave) + 1))
    else:
        interleave, share = 0, False
        rows, cols = int(rng.integers(1, 30)), int(rng.integers(1, p.cols + 1))
    left = operands(p.operand, (rows, inner), rng, kind)
    right = pack(operands(p.operand, (inner, cols), rng, kind), random_mask(work, cols, rng), work)
    if interleave:
        run_output_stationary(array, left, right, work, (interleave, share), tally, gaps)
    else:
        run_weight_stationary(array, left, right, work, tally, gaps)


def compare(tally: Tally, got: Bits, want: Bits) -> None:
    """Sums bit for bit."""
    tally.sums += want.size
    tally.wrong_sums += int((got != want).sum())


def _tally(tally: Tally, cycles: int, compute: int, counters: dict[str, int], gaps: int) -> None:
    tally.tiles += 1
    tally.wrong_cycles += counters["cycles"] != cycles or counters["compute"] != compute
    tally.waited += not gaps and counters["waiting"] != 0
