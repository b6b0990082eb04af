"""Proofs about SORE and a PE's selector. Each property has mutants that fail it, so none holds for want of meaning."""

import pytest

from rtl.formats import FP16, FloatFormat
from rtl.parameters import make_parameters
from tests.rtl.checkers import LARGEST, SELECTOR, STREAM, CheckLargest, CheckSelector, CheckStream
from tests.rtl.formal import Model
from workloads.pattern import parse_pattern

TINY = FloatFormat("tiny", 2, 2)  # magnitudes are compared as integers, whose width changes no argument


def test_the_largest_are_kept_of_every_group() -> None:
    """Of any group of up to 4, after anything: exactly n, none larger dropped, in order, from inside the group."""
    assert Model(CheckLargest(TINY, 2, 4)).holds(6)


def test_the_output_keeps_the_contract_of_streams() -> None:
    model = Model(CheckStream(TINY, 2, 4, STREAM[:2]))
    assert model.holds(3) and model.holds(3, induction=True)


@pytest.mark.parametrize("pattern", ["2:4", "2:5"])
def test_a_pe_selects_from_inside_the_group(pattern: str) -> None:
    """The operand that a weight's index names, after anything; an index that no group has gives one of it or zero.

    A stored weight is followed for eight cycles, in which any others may be stored.
    """
    assert Model(CheckSelector(make_parameters(parse_pattern(pattern), 1, 1, "int8", depth=2))).holds(8)


@pytest.mark.parametrize("name", SELECTOR)
def test_every_property_of_the_selector_has_a_mutant_that_fails_it(name: str) -> None:
    model = Model(CheckSelector(make_parameters(parse_pattern("2:4"), 1, 1, "int8", depth=2), [name]))
    assert any(not model.holds(3, mutant) for mutant in model.mutants(20, seed=7))


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
