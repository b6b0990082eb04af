"""Proofs about SORE. For each property there are mutants that fail it, so none holds for want of meaning."""

import pytest

from rtl.formats import FP16, FloatFormat
from tests.rtl.checkers import LARGEST, STREAM, CheckLargest, CheckStream
from tests.rtl.formal import Model

TINY = FloatFormat("tiny", 2, 2)  # magnitudes are compared as integers, whose width changes no argument


def test_the_largest_are_kept_of_every_group() -> None:
    """Of any group of up to 4, after anything: exactly n, none larger dropped, in order, from inside the group."""
    assert Model(CheckLargest(TINY, 2, 4)).holds(6)


def test_the_output_keeps_the_contract_of_streams() -> None:
    model = Model(CheckStream(TINY, 2, 4, STREAM[:2]))
    assert model.holds(3) and model.holds(3, induction=True)


@pytest.mark.slow
@pytest.mark.parametrize(("form", "n", "m"), [(TINY, 3, 5), (FP16, 1, 4)])
def test_the_largest_are_kept_of_larger_groups(form: FloatFormat, n: int, m: int) -> None:
    assert Model(CheckLargest(form, n, m)).holds(m + 2)


@pytest.mark.slow
def test_no_more_comes_out_than_was_kept() -> None:
    """Within 12 cycles of reset."""
    assert Model(CheckStream(TINY, 2, 4, STREAM[2:])).holds(12, anywhere=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGEST + STREAM)
def test_every_property_has_a_mutant_that_fails_it(name: str) -> None:
    largest = name in LARGEST
    model = Model((CheckLargest if largest else CheckStream)(TINY, 2, 4, [name]))
    mutants = model.mutants(40, seed=7)
    assert any(not model.holds(6, mutant, anywhere=largest) for mutant in mutants)
