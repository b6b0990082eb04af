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


def ws_end(array: Array, positions: int, n: int, m: int) -> int:
    """When the next fold may begin: the far corner's last sum has left, and the last row's link is free.

    Every PE's adder takes one addition a cycle, chains wait for the adder, a link carries one position's operands after
    the other's.
    """
    adder = max(array.adder_latency, 1)
    words, sums = (
        0 if link is None else -(-size // link) for size, link in ((m, array.west_link), (2, array.sum_link))
    )
    period = max(n, words, sums)
    step = next(step for step in range(adder, adder + period) if step % period == 1 % period)
    taken: set[int] = set()
    begin = finish = 0
    for position in range(positions):
        begin = array.rows * max(1, 0 if array.north_link is None else -(-n // array.north_link)) + position * period
        for weight in range(n):
            slot = begin + weight * step
            assert slot not in taken, "two additions meet in one adder"
            taken.add(slot)
            finish = slot + adder
    last_row = (array.rows - 1) * (finish - begin + array.sum_hop)
    free = begin + last_row + max(words, sums)
    return max(free, finish + last_row + array.multiplier_latency + array.cols - 1)


def links() -> st.SearchStrategy[Fraction | None]:
    """None, wide ones, of one operand a cycle, and narrower ones."""
    return st.sampled_from([None, *(Fraction(n, d) for n, d in ((4, 1), (2, 1), (3, 2), (1, 1), (1, 2), (1, 4)))])


@settings(max_examples=500)
@given(
    st.integers(1, 9), st.integers(1, 9), st.integers(0, 13), st.integers(0, 8), st.integers(1, 64), st.integers(1, 64),
    st.integers(1, 40), st.tuples(links(), links(), links()), st.integers(0, 2),
)  # fmt: skip
def test_weight_stationary_matches_a_modulo_schedule(
    rows: int, cols: int, adder: int, multiplier: int, n: int, m: int, positions: int,
    narrow: tuple[Fraction | None, ...], hop: int,
) -> None:  # fmt: skip
    n = min(n, m)
    array = Array(rows, cols, adder, multiplier, *narrow, sum_hop=hop)
    fold = weight_stationary_fold(array, positions, n, m)
    assert fold.total == ws_end(array, positions, n, m)
    assert fold.busy == positions * n
    assert min(fold) >= 0


def test_a_link_is_busy_for_every_position_of_every_fold() -> None:
    """1:64 on 2 x 2 PEs, a link of one operand: 16 positions x 64 operands a row, and no less in blocks of one."""
    array = Array(2, 2, 4, 2, west_link=Fraction(1), north_link=Fraction(1), sum_link=Fraction(2))
    assert weight_stationary_fold(array, 16, 1, 64).total >= 1024
    assert 16 * weight_stationary_fold(array, 1, 1, 64).total >= weight_stationary_fold(array, 16, 1, 64).total


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
