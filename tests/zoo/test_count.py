"""The independent count on layers that are counted by hand."""

import pytest
import torch
from torch import nn

from tests.zoo.count import counted, counted_by_torch
from tests.zoo.entry import Entry, numbers


def total(layer: nn.Module, *sizes: int) -> int:
    return sum(counted(*Entry("", lambda: layer, numbers(*sizes)).made(2)).values())


@pytest.mark.parametrize(
    ("layer", "sizes", "expected"),
    [
        (nn.Linear(12, 10), (5, 12), 2 * 10 * 12 * 10),  # the input has no gradient
        (nn.Sequential(nn.Linear(12, 10), nn.Linear(10, 7)), (5, 12), 2 * 10 * 120 + 3 * 10 * 70),
        (nn.Conv2d(8, 6, 3, padding=1, groups=2), (8, 7, 7), 2 * 98 * 9 * 4 * 6),
        # 2 x 7 steps of 4 x 24 gates; what came before the first step has no gradient
        (nn.LSTM(16, 24, batch_first=True), (7, 16), 2 * 14 * 16 * 96 + (14 + 14 + 12) * 24 * 96),
    ],
)
def test_by_hand(layer: nn.Module, sizes: tuple[int, ...], expected: int) -> None:
    assert total(layer, *sizes) == expected


def test_what_a_stride_spreads_out() -> None:
    """Of 7 positions along an axis, a stride of 2 lets 4 be reached by one of three taps and 3 by two: 10 pairs. torch
    counts 4 x 3, the pairs of the other side, padding included."""
    first, strided = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 6, 3, stride=2, padding=1)
    model, x = nn.Sequential(first, strided), torch.randn(2, 8, 7, 7)
    rest = 2 * (2 * 49 * 8 * 8) + 2 * (2 * 16 * 9 * 8 * 6)
    assert sum(counted(model, (x,)).values()) == rest + 2 * 10 * 10 * 8 * 6
    assert sum(counted_by_torch(model, (x,)).values()) == rest + 2 * 12 * 12 * 8 * 6


def test_a_transposed_convolution_is_the_other_way_round() -> None:
    """19 positions of the output, 10 of them reached by two of three taps and 9 by one; 9 positions by 3 taps else."""
    count = total(nn.Sequential(nn.Conv1d(4, 8, 1), nn.ConvTranspose1d(8, 6, 3, stride=2)), 4, 9)
    assert count == 2 * (2 * 9 * 4 * 8) + 2 * (10 * 2 + 9) * 8 * 6 + 2 * (2 * 9 * 3 * 8 * 6)
