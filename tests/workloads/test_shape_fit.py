"""Sizes as functions of batch and sequence length."""

import pytest

from workloads.recording.capture import IMAGE_POINTS, TEXT_POINTS
from workloads.shape_fit import MONOMIALS, evaluate, fit, resolve


@pytest.mark.parametrize(
    "size", [{"B": 3136}, {"BS": 768}, {"1": 5, "BS": 2}, {"B": 12}, {"S": 1}, {"BSS": 12}, {"S": 3, "SS": 1, "B": 7}]
)
def test_a_size_is_found_again(size: dict[str, int]) -> None:
    assert fit(TEXT_POINTS, [evaluate(size, *point) for point in TEXT_POINTS]) == size


def test_there_are_more_points_than_monomials() -> None:
    assert len(set(TEXT_POINTS)) > len(MONOMIALS)
    assert len(set(IMAGE_POINTS)) > 2 and {sequence for _, sequence in IMAGE_POINTS} == {1}


def test_a_constant_is_an_integer() -> None:
    assert fit(TEXT_POINTS, [64] * len(TEXT_POINTS)) == 64


def test_a_wrong_form_does_not_fit() -> None:
    with pytest.raises(ValueError, match="no size of the known form"):
        fit(TEXT_POINTS, [batch**2 * sequence for batch, sequence in TEXT_POINTS])


def test_resolve_evaluates_sizes_and_leaves_the_rest() -> None:
    node = {"rows": {"BS": 2, "1": 1}, "layer": "B", "pads": [1, {"S": 3}], "geometry": {"in_channels": 3}}
    assert resolve(node, 4, 5) == {"rows": 41, "layer": "B", "pads": [1, 15], "geometry": {"in_channels": 3}}
