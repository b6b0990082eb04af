"""Masks: numpy against a plain loop, and torch against numpy, ties included."""

import numpy as np
import pytest
import torch

from workloads.errors import UserError
from workloads.masks import group_mask, largest_group_count
from workloads.pattern import parse_pattern
from workloads.training import masks as in_torch

PATTERNS = ["2:8", "1:4", "2:4", "3:5", "8:8", "1:16", "bank 2:64"]
SHAPES = [(16, 16, 3, 3), (7, 13, 1, 1), (3, 9, 7, 7), (5, 1, 3, 3), (1, 30), (33, 17)]


def values(shape: tuple[int, ...], ties: bool) -> np.ndarray:
    noise = np.random.default_rng(5).normal(size=shape)
    return (np.round(noise * 2) / 2 if ties else noise).astype(np.float32)


def by_hand(run: np.ndarray, n: int, m: int) -> list[bool]:
    kept = [False] * len(run)
    for start in range(0, len(run), m):
        places = range(start, min(start + m, len(run)))
        for place in sorted(places, key=lambda at: (-abs(run[at]), at))[:n]:
            kept[place] = True
    return kept


@pytest.mark.parametrize("text", ["2:8", "1:4", "3:5"])
@pytest.mark.parametrize("ties", [False, True])
def test_numpy_mask_is_the_plain_loops(text: str, ties: bool) -> None:
    weights, pattern = values((6, 19, 2, 2), ties), parse_pattern(text)
    mask = group_mask(weights, pattern, axis=1)
    for o, kh, kw in np.ndindex(6, 2, 2):
        assert mask[o, :, kh, kw].tolist() == by_hand(weights[o, :, kh, kw], pattern.n, pattern.m)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("text", PATTERNS)
def test_torch_mask_is_numpys(text: str, shape: tuple[int, ...], ties: bool) -> None:
    weights, pattern = values(shape, ties), parse_pattern(text)
    for axis in (0, 1):
        mask = in_torch.group_mask(torch.tensor(weights), pattern, axis).numpy()
        np.testing.assert_array_equal(mask, group_mask(weights, pattern, axis))
        by_sorting = in_torch.sorted_mask(torch.tensor(weights), pattern.n, pattern.m, axis).numpy()
        np.testing.assert_array_equal(mask, by_sorting)  # what other devices run
        assert mask.sum() == pattern.kept(shape[axis]) * weights.size // shape[axis]


def test_ties_keep_the_lower_index() -> None:
    weights = torch.tensor([[-1.0, 1.0, 1.0, -1.0, 2.0, 1.0, 0.0, 0.0]])
    mask = in_torch.group_mask(weights, parse_pattern("2:4"), axis=1)
    assert mask.tolist() == [[True, True, False, False, True, True, False, False]]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_every_number_format_is_ranked(dtype: torch.dtype) -> None:
    weights, pattern = torch.tensor(values((8, 20, 3), ties=True)).to(dtype).movedim(0, 2), parse_pattern("2:8")
    expected = group_mask(weights.double().numpy(), pattern, 1)
    np.testing.assert_array_equal(in_torch.group_mask(weights, pattern, 1).numpy(), expected)


def test_zeros_of_both_signs_tie_and_infinities_rank_above_all_numbers() -> None:
    weights = np.array([[-0.0, 0.0, 0.0, -0.0], [1.0, np.inf, -np.inf, 2.0], [np.inf, np.nan, 1.0, np.nan]])
    assert group_mask(weights, parse_pattern("2:4"), 1).tolist() == [
        [True, True, False, False],
        [False, True, True, False],
        [False, True, False, True],
    ]


def test_both_counts_of_a_group_agree() -> None:
    weights = values((12, 21, 3, 3), ties=True)
    for m, axis in ((4, 0), (8, 1), (5, 1)):
        assert in_torch.largest_group_count(torch.tensor(weights), m, axis) == largest_group_count(
            weights != 0, m, axis
        )


def test_a_pattern_without_groups_is_refused() -> None:
    with pytest.raises(UserError, match="pattern 'fan-in 3': masks can be trained for 'n:m' and 'bank n:m' only"):
        in_torch.group_mask(torch.ones(4, 4), parse_pattern("fan-in 3"), 0)
