"""Array timing against a PE-by-PE reference that schedules every addition on its own."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from rtl.timing import (
    Array,
    Reduction,
    output_stationary_ends,
    output_stationary_stream,
    weight_stationary_fold,
)

sizes = st.integers(1, 9)


def os_last_addition(array: Array, kept: int, interleave: int) -> int:
    """When the far corner's last sum is ready: rounds of additions, none before its accumulator is ready."""
    ready = [0] * interleave
    clock = array.rows - 1 + array.cols - 1 + array.multiplier_latency
    for _ in range(kept):
        for accumulator in range(interleave):
            clock = max(clock, ready[accumulator])
            ready[accumulator] = clock + max(array.adder_latency, 1)
            clock += 1
    return max(ready)


@given(sizes, sizes, st.integers(0, 9), st.integers(0, 4), st.integers(1, 8), st.integers(1, 30))
def test_output_stationary_matches_a_schedule_of_additions(
    rows: int, cols: int, adder: int, multiplier: int, interleave: int, kept: int
) -> None:
    array = Array(rows, cols, adder, multiplier, drains=False)
    stream = output_stationary_stream(array, Reduction(1, kept, 1, 1), interleave, share_weights=True)
    total = stream.total + output_stationary_ends(array, interleave).total
    trailing = max(0, adder - interleave)  # the controller counts whole rounds
    assert total - trailing == os_last_addition(array, kept, interleave)


def ws_finish(array: Array, positions: int, n: int, period: int) -> int:
    """When the far corner's last sum leaves: every PE's adder takes one addition a cycle, chains wait for the adder."""
    adder = max(array.adder_latency, 1)
    step = next(step for step in range(adder, adder + period) if step % period == 1 % period)
    taken: set[int] = set()
    finish = 0
    for position in range(positions):
        begin = array.multiplier_latency + position * period
        for weight in range(n):
            slot = begin + weight * step
            assert slot not in taken, "two additions meet in one adder"
            taken.add(slot)
            finish = slot + adder
    through = finish - array.multiplier_latency - (positions - 1) * period
    return finish + (array.rows - 1) * through + array.cols - 1


@settings(max_examples=200)
@given(sizes, sizes, st.integers(0, 9), st.integers(0, 4), st.integers(1, 8), st.integers(0, 8), st.integers(1, 30))
def test_weight_stationary_matches_a_modulo_schedule(
    rows: int, cols: int, adder: int, multiplier: int, n: int, more: int, positions: int
) -> None:
    array = Array(rows, cols, adder, multiplier, north_link=Fraction(1), west_link=Fraction(2))
    m = n + more
    period = max(n, -(-m // 2))
    fold = weight_stationary_fold(array, positions, n, m)
    assert fold.total == rows * n + ws_finish(array, positions, n, period)
    assert fold.busy == positions * n


def test_wide_operands_are_never_free() -> None:
    narrow = Array(32, 32, west_link=Fraction(1))
    wide = Array(32, 32, west_link=Fraction(4))
    work = Reduction(1, 64, 2, 8)
    assert output_stationary_stream(narrow, work, 1, True).total == 64
    assert output_stationary_stream(wide, work, 1, True).total == 16
    assert output_stationary_stream(narrow, work, 4, share_weights=False).total == 64  # operands used four times


def test_tail_groups_keep_what_they_can() -> None:
    work = Reduction(9, 10, 2, 8)
    assert work.kept == 9 * (2 + 2)
    assert Reduction(49, 3, 2, 8).kept == 98
