"""Runs back to back, and runs that cannot be: exact spacings, no wrong sum, a reason instead of a hang."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from rtl.formats import Packed, pack
from rtl.golden.products import sparse_product
from rtl.in_process import CompiledArray, Stopped
from rtl.parameters import make_parameters
from rtl.run import Error, Run, field_bits, run_bits
from rtl.tiles import Tile, output_stationary_tile, weight_stationary_tile
from rtl.timing import Reduction
from tests.rtl.cases import DEEP, Tally, operands, random_mask, run_random
from tests.rtl.chains import Streamed, random_stream, run_stream
from workloads.errors import UserError
from workloads.pattern import parse_pattern

# one row or column, links of one operand, of fewer than a group needs, of a width that divides nothing
NARROW = (
    ("1:64", 2, 2, "int8", {"accumulators": 2, "west_link": 1}),
    ("1:16", 1, 1, "int8", {"accumulators": 2, "west_link": 1, "adder_latency": 3}),
    ("2:16", 1, 3, "int8", {"accumulators": 2, "west_link": 2, "depth": 2}),
    ("4:8", 3, 1, "bf16", {"accumulators": 5, "west_link": 3}),
    ("dense", 1, 1, "int8", {"accumulators": 1}),
)
USUAL = (("2:8", 3, 2, "int8", {"accumulators": 6}), ("2:8", 2, 2, "fp16", {"accumulators": 6}))


@cache
def array(number: int) -> CompiledArray:
    pattern, rows, cols, form, more = (*USUAL, *NARROW)[number]
    return CompiledArray(make_parameters(parse_pattern(pattern), rows, cols, form, **more, **DEEP))


def streamed(number: int, tiles: int = 0, streams: int = 0) -> Streamed:
    """So many tiles at least, or streams, through an array."""
    rng, found, count = np.random.default_rng(7), Streamed(), 0
    while found.tiles < tiles or count < streams:
        run_stream(array(number), random_stream(array(number).parameters, rng), found)
        count += 1
    return found


@pytest.mark.parametrize("number", [0, 1, 2])
def test_runs_follow_each_other_as_the_timing_says(number: int) -> None:
    """From the last sum of a tile to that of the next one, whatever the two are: exactly the next one's time."""
    found = streamed(number, 250)
    assert found.differences == (0, 0, 0)
    assert found.spacings > 100


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(USUAL)))
def test_three_thousand_tiles_back_to_back(number: int) -> None:
    found = streamed(number, 3000)
    print(f"{array(number).parameters.title}: {found}")
    assert found.differences == (0, 0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(USUAL), len(USUAL) + len(NARROW)))
def test_streams_at_narrow_links(number: int) -> None:
    found = streamed(number, streams=100)
    print(f"{array(number).parameters.title}: {found}")
    assert found.differences == (0, 0, 0)


def usual_tile(number: int = 0) -> Tile:
    p, rng, work = array(number).parameters, np.random.default_rng(3), Reduction(1, 20, 2, 8)
    left = operands(p.operand, (2, 20), rng)
    return output_stationary_tile(
        p, left, pack(operands(p.operand, (20, 2), rng), random_mask(work, 2, rng), work), work
    )


def fold() -> Tile:
    p, rng, work = array(0).parameters, np.random.default_rng(3), Reduction(1, 20, 2, 8)
    right = pack(operands(p.operand, (20, 2), rng), random_mask(work, 2, rng), work)
    return weight_stationary_tile(p, operands(p.operand, (5, 20), rng), right, work, 0)


def changed(tile: Tile, **fields: int) -> Tile:
    return replace(tile, run=replace(tile.run, **fields))


BAD = {
    "nothing to do": (changed(usual_tile(), groups=0, tail_kept=0), Error.EMPTY),
    "a group more than was sent": (changed(usual_tile(), groups=3), Error.COUNT),
    "a word more than was sent": (
        changed(usual_tile(), groups=3, row_words=usual_tile().run.row_words + 2, column_weights=7),
        Error.STARVED,
    ),
    "a word fewer than it says": (changed(usual_tile(), tail_words=1), Error.COUNT),
    "a weight fewer than it says": (changed(usual_tile(), kept=0), Error.COUNT),
    "more outputs than accumulators": (changed(usual_tile(), interleave=6), Error.INTERLEAVE),
    "more weights than a PE keeps": (changed(fold(), kept=8), Error.KEPT),
    "more words than a group has": (changed(usual_tile(), words=2), Error.WORDS),
    "more words than the memory holds": (changed(usual_tile(), row_words=2048), Error.LONG),
    "more sums than the memory holds": (changed(fold(), positions=2048), Error.LONG),
    "sums that are not there": (changed(usual_tile(), fresh=0), Error.HELD),
    "a position more than was sent": (changed(fold(), positions=5), Error.COUNT),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_run_ends_with_its_reason(name: str) -> None:
    """No hang, no wrong sum; and when it was aborted the array works as before."""
    tile, error = BAD[name]
    with pytest.raises(Stopped) as stopped:
        array(0).run(tile)
    assert stopped.value.error is error
    tally, rng = Tally(), np.random.default_rng(1)
    for _ in range(3):
        run_random(array(0), rng, tally)
    assert tally.differences == (0, 0, 0)


def test_seeds_do_not_meet_sums_that_never_left() -> None:
    p, piece = array(0).parameters, changed(usual_tile(), drain=0)
    seeded = replace(usual_tile(), seeds=[[1] * p.rows] * p.cols, run=replace(usual_tile().run, seed=1, fresh=0))
    with pytest.raises(Stopped) as stopped:
        array(0).stream([replace(piece, results=0), seeded])
    assert stopped.value.error is Error.HELD


@pytest.mark.parametrize("cycles", [1, 3, 40, 61, 77, 90])
def test_a_reset_in_mid_run_leaves_nothing(cycles: int) -> None:
    """An array that is reset while operands, orders or sums are on their way gives right sums at once."""
    machine, tile = array(0), usual_tile()
    words = {f"west__{row}__payload": tile.west[row][0] for row in range(3)}
    words |= {f"north__{col}__payload": tile.north[col][0] for col in range(2)} | {"run__payload": run_bits(tile.run)}
    given = {name: _held(value, cycles) for name, value in words.items()}
    valid = {name.replace("payload", "valid"): np.ones(cycles, np.uint64) for name in words}
    machine._compiled.run(**given, **valid)
    machine._compiled.reset()
    tally, rng = Tally(), np.random.default_rng(cycles)
    for _ in range(5):
        run_random(machine, rng, tally)
    assert tally.differences == (0, 0, 0)


def _held(value: int, cycles: int) -> np.ndarray:
    words = [value & (1 << 64) - 1] if value < 1 << 64 else [value & (1 << 64) - 1, value >> 64]
    return np.tile(np.array(words, np.uint64), (cycles, 1)).squeeze() if len(words) > 1 else np.full(cycles, words[0])


def test_a_negative_zero_stays_one() -> None:
    """Rows without a group of their own add nothing, not even to a seed of -0."""
    p, work = array(1).parameters, Reduction(1, 4, 2, 4)
    left, weights = np.full((3, 4), 0x8000, np.uint16), np.full((2, 2), 0x3C00, np.uint16)
    right, seeds = Packed(weights, np.array([[0, 0], [1, 1]])), np.full((3, 2), 0x80000000, np.uint32)
    ran = array(1).run(weight_stationary_tile(p, left, right, work, 0, seeds))
    wanted = sparse_product(left, right, p.operand, seeds)
    assert (wanted == 0x80000000).all() and (ran.product == wanted).all()


def test_a_run_is_laid_out_once() -> None:
    """The fields of a run, one after the other, and one sentence for a count that is too large."""
    assert sum(field_bits().values()) == 128
    for number, name in enumerate(field_bits()):
        lower = sum(list(field_bits().values())[:number])
        assert run_bits(Run(**{**dict.fromkeys(field_bits(), 0), name: 1})) == 1 << lower
    with pytest.raises(UserError) as raised:
        run_bits(Run(groups=1 << 16))
    assert str(raised.value) == "the array cannot count groups to 65536; cut the tile into smaller pieces"
