"""Masks with at most n of every m both along output and along input channels: true m x m tiles of the weight.

A tile holds m output by m input channels of one kernel position of one convolution group. Channels that are no
multiple of m are filled up with weights that are never kept.
"""

from itertools import combinations, product

import torch
from torch import Tensor
from torch.nn.functional import pad

from workloads.training.recorder import is_fake

NEVER = -torch.inf


def best_2_of_4(weight: Tensor) -> Tensor:
    """The mask with exactly two of four, in both directions, that keeps the most magnitude: the best of 90 patterns.

    A mask of at most two can keep slightly more in some tiles, with seven ones. weight: (G, O, C, T). Ties go to the
    first pattern in the order of `patterns_2_of_4`.
    """
    patterns = patterns_2_of_4()
    best = (_tiles(weight.detach().abs(), 4, filler=0.0) @ patterns.mT).argmax(-1)
    return _untiled(patterns[best].bool(), 4, weight.shape)


def patterns_2_of_4() -> Tensor:
    """The 90 4 x 4 patterns with two ones in every row and column, (90, 16)."""
    rows = [[float(place in pair) for place in range(4)] for pair in combinations(range(4), 2)]
    tiles = [tile for tile in product(rows, repeat=4) if all(sum(column) == 2 for column in zip(*tile, strict=True))]
    return torch.tensor(tiles).flatten(1)


def greedy(scores: Tensor, n: int, m: int) -> Tensor:
    """The n:m mask, in both directions, that takes the largest scores first, wherever its row and column have room.

    It keeps at least half the magnitude of the best mask (arXiv 2102.08124). scores: (G, O, C, T); ties go to the
    lower index of the tile, read row by row.
    """
    if is_fake(scores):
        return torch.empty(scores.shape, dtype=torch.bool)
    tiles = _tiles(scores.detach(), m, filler=NEVER)
    order = torch.sort(tiles, dim=-1, descending=True, stable=True).indices
    count, each = tiles.shape[0], torch.arange(tiles.shape[0])
    rows, cols = torch.zeros(count, m, dtype=torch.int32), torch.zeros(count, m, dtype=torch.int32)
    mask = torch.zeros(tiles.shape, dtype=torch.bool)
    for place in order.unbind(-1):
        row, col = place // m, place % m
        taken = (rows[each, row] < n) & (cols[each, col] < n) & (tiles[each, place] > NEVER)
        rows[each, row] += taken.int()
        cols[each, col] += taken.int()
        mask[each, place] = taken
    return _untiled(mask, m, scores.shape)


def _tiles(values: Tensor, m: int, filler: float) -> Tensor:
    """(G, O, C, T) as (tiles, m * m), output channels the rows of a tile."""
    groups, outside, inside, taps = values.shape
    moved = pad(values.permute(0, 3, 1, 2), (0, -inside % m, 0, -outside % m), value=filler)
    blocks = moved.reshape(groups, taps, moved.shape[2] // m, m, moved.shape[3] // m, m)
    return blocks.transpose(3, 4).reshape(-1, m * m)


def _untiled(tiles: Tensor, m: int, shape: torch.Size) -> Tensor:
    groups, outside, inside, taps = shape
    high, wide = -(-outside // m), -(-inside // m)
    blocks = tiles.reshape(groups, taps, high, wide, m, m).transpose(3, 4)
    whole = blocks.reshape(groups, taps, high * m, wide * m)[:, :, :outside, :inside]
    return whole.permute(0, 2, 3, 1).contiguous()
