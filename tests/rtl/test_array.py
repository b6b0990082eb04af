"""The compiled array against golden values and the timing function, tile by tile; not one bit, not one cycle off."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtl.formats import Packed, encode, pack
from rtl.golden.products import sparse_product
from rtl.in_process import CompiledArray
from rtl.parameters import make_parameters
from rtl.tiles import folds_of, output_stationary_tile, weight_stationary_tile
from rtl.timing import Reduction
from tests.rtl.cases import DEEP, Tally, operands, random_mask, run_output_stationary, run_random, run_weight_stationary
from tests.rtl.real import LAYERS, run_real
from workloads.errors import UserError
from workloads.pattern import parse_pattern

SMALL = {"int8": ("2:8", 3, 2), "fp16": ("2:8", 2, 2)}


@cache
def array(form: str) -> CompiledArray:
    pattern, rows, cols = SMALL[form]
    return CompiledArray(make_parameters(parse_pattern(pattern), rows, cols, form, accumulators=6, **DEEP))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(SMALL)), st.integers(0, 1 << 30), st.sampled_from([0, 0, 20, 200]), st.booleans())
def test_random_tiles(form: str, seed: int, gaps: int, corners: bool) -> None:
    """Patterns, tails, interleaves and both dataflows; streams that pause at random change nothing but the waiting."""
    rng, tally = np.random.default_rng(seed), Tally()
    for _ in range(5):
        run_random(array(form), rng, tally, "corners" if corners else "values", gaps)
    assert tally.differences == (0, 0, 0)


@pytest.mark.parametrize("form", sorted(SMALL))
def test_a_thousand_tiles(form: str) -> None:
    rng, tally = np.random.default_rng(7), Tally()
    while tally.tiles < 500:
        run_random(array(form), rng, tally)
    assert tally.differences == (0, 0, 0)


def test_the_last_sum_leaves_when_the_counter_says() -> None:
    """Seen from outside, by a run that finds the array idle."""
    machine, rng, work = array("int8"), np.random.default_rng(2), Reduction(1, 24, 2, 8)
    p = machine.parameters
    left = operands(p.operand, (3, 24), rng)
    right = pack(operands(p.operand, (24, 2), rng), random_mask(work, 2, rng), work)
    for tile, more in (
        (output_stationary_tile(p, left, right, work), 0),
        (weight_stationary_tile(p, left, right, work, 0), 1),
    ):
        ran = machine.run(tile)
        assert ran.elapsed == tile.cycles + p.latency + more


@pytest.mark.parametrize("form", sorted(SMALL))
def test_sparse_equals_dense_on_masked_weights(form: str) -> None:
    machine, rng, work = array(form), np.random.default_rng(3), Reduction(1, 32, 2, 8)
    p = machine.parameters
    left, weights = operands(p.operand, (p.rows, 32), rng), operands(p.operand, (32, p.cols), rng)
    mask = random_mask(work, p.cols, rng)
    masked = np.where(mask, weights, 0).astype(weights.dtype)
    tally, dense = Tally(), Reduction(1, 32, 8, 8)
    whole = pack(masked, np.ones_like(mask), dense)
    found = [
        run_output_stationary(machine, left, pack(weights, mask, work), work, (1, True), tally),
        run_weight_stationary(machine, left, pack(weights, mask, work), work, tally),
        run_output_stationary(machine, left, whole, dense, (1, True), tally),
        run_weight_stationary(machine, left, whole, dense, tally),
        sparse_product(left, Packed(masked, np.arange(32)[:, None].repeat(p.cols, 1)), p.operand),
    ]
    assert all((each == found[0]).all() for each in found)
    assert tally.differences == (0, 0, 0)


def test_real_tiles_of_resnet18() -> None:
    """A few tiles of real tensors; the slow target has all layers on 32 x 32 PEs."""
    tally = Tally()
    run_real(array("fp16"), LAYERS[2], ((8, 8), (2, 4), (2, 8), (1, 8)), tally)
    assert tally.differences == (0, 0, 0)


@pytest.mark.parametrize("seeded", [False, True])
@pytest.mark.parametrize("form", ["fp16", "int8"])
def test_a_reduction_in_pieces(form: str, seeded: bool) -> None:
    """Pieces of a reduction, first with sums that stay, then with sums that come back as seeds: the same bits.

    With a short latency a run is over before the last column has taken its weights.
    """
    machine, rng = array(form), np.random.default_rng(4)
    p, work, piece = machine.parameters, Reduction(3, 8, 2, 8), Reduction(1, 8, 2, 8)
    left, weights = operands(p.operand, (p.rows * 2, 24), rng), operands(p.operand, (24, p.cols), rng)
    mask = random_mask(work, p.cols, rng)
    sums = None
    for number in range(3):
        part, last = slice(8 * number, 8 * number + 8), number == 2
        right = pack(weights[part], mask[part], piece)
        tile = output_stationary_tile(
            p,
            left[:, part],
            right,
            piece,
            2,
            seeds=sums if seeded else None,
            fresh=number == 0,
            drain=seeded or last,
        )
        ran = machine.run(tile)
        assert ran.counters["cycles"] == tile.cycles
        sums = ran.product
    assert (sums == sparse_product(left, pack(weights, mask, work), p.operand)).all()


def test_a_planted_fault_is_seen() -> None:
    """The comparison can fail: one operand changed on its way gives other sums."""
    machine, rng, work = array("int8"), np.random.default_rng(5), Reduction(1, 8, 2, 8)
    p = machine.parameters
    left = encode(np.ones((3, 8)), p.operand)
    right = pack(operands(p.operand, (8, 2), rng), random_mask(work, 2, rng), work)
    tile = output_stationary_tile(p, left, right, work)
    tile.west[1][0] ^= 0xFFFFFFFF
    tile.west[1][1] ^= 0xFFFFFFFF
    assert (machine.run(tile).product != sparse_product(left, right, p.operand)).any()


def test_what_the_array_cannot_do() -> None:
    p = array("int8").parameters
    rng = np.random.default_rng(6)

    def tile(n: int, m: int, interleave: int = 1, rows: int = 3) -> None:
        work = Reduction(1, 16, n, m)
        right = pack(operands(p.operand, (16, 2), rng), random_mask(work, 2, rng), work)
        output_stationary_tile(p, operands(p.operand, (rows, 16), rng), right, work, interleave)

    takes = "which takes groups of at most 8 that keep at most 8"
    for arguments, sentence in (
        ((2, 16), f"2:16 cannot run on an array of 2:8 int8 3x2, {takes}"),
        ((2, 8, 7), "an interleave of 7 needs more than the 6 accumulators of a PE"),
        ((2, 8, 1, 4), "a tile of 4 x 16 is larger than 3 x 16"),
    ):
        with pytest.raises(UserError) as raised:
            tile(*arguments)
        assert str(raised.value) == sentence


def test_folds() -> None:
    assert folds_of(array("int8").parameters, Reduction(9, 10, 2, 8)) == 6
