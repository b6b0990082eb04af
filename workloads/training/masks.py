"""Masks in torch: of groups, of true m x m tiles, of a fan-in, and orders of channels in which groups crowd little.

Groups are `workloads.masks.group_mask` on a CPU, and the same by sorting on other devices. Tiles hold at most n of
every m both along output and along input channels: a tile is m output by m input channels of one kernel position of one
convolution group, and channels that are no multiple of m are filled up with weights that are never kept. A fan-in is
one number of kept weights for every output, over all its input channels and kernel positions.
"""

from itertools import combinations, product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from workloads import masks
from workloads.errors import UserError
from workloads.kernels import compiled
from workloads.pattern import Pattern
from workloads.recording.tensor_names import is_fake

NEVER = -torch.inf
MOST_IN_A_BYTE = 255


def group_mask(weight: Tensor, pattern: Pattern, axis: int) -> Tensor:
    """True where a weight is kept: the n largest magnitudes of every m along `axis`, ties to the lower index.

    weight: any shape. The last group may be shorter and keeps min(n, its length). Raises UserError for a pattern
    without groups.
    """
    if not pattern.is_grouped:
        raise UserError(f"pattern '{pattern}': masks can be trained for 'n:m' and 'bank n:m' only")
    mask: Tensor = _group_mask(weight.detach(), pattern.n, pattern.m, axis)
    return mask


def ranked(weight: Tensor, kept: Tensor) -> Tensor:
    """Magnitudes of which no mask can take a dropped one before a kept one: a kept weight of 0 ranks above it."""
    return torch.where(kept, weight.abs().clamp(min=torch.finfo(weight.dtype).tiny), 0.0)


@torch.library.custom_op("sparsehil::group_mask", mutates_args=())  # one operator, so that a recorder sees one
def _group_mask(weight: Tensor, n: int, m: int, axis: int) -> Tensor:
    if weight.device.type != "cpu":
        return sorted_mask(weight, n, m, axis)
    return torch.from_numpy(masks.largest(_known(weight), n, m, axis))


@_group_mask.register_fake
def _shape_alone(weight: Tensor, n: int, m: int, axis: int) -> Tensor:  # noqa: ARG001
    return torch.empty(weight.shape, dtype=torch.bool, device=weight.device)


def sorted_mask(weight: Tensor, n: int, m: int, axis: int) -> Tensor:
    """`group_mask` in operators that every device has."""
    groups, length = _groups(weight.abs(), m, axis, filler=-1.0)
    return _largest(groups, n).flatten(-2)[..., :length].movedim(-1, axis).contiguous()


def _largest(scores: Tensor, count: int) -> Tensor:
    """True for the `count` largest scores of the last axis, ties to the lower index."""
    order = torch.sort(scores, dim=-1, descending=True, stable=True).indices[..., :count]
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, order, True)


def largest_group_count(values: Tensor, m: int, axis: int) -> int:
    """The most non-zeros that any group of m along `axis` holds."""
    return masks.largest_group_count(_known(values), m, axis)


def nonzeros(values: Tensor) -> int:
    """Elements that are not zero."""
    return masks.nonzeros(_known(values))


def _known(tensor: Tensor) -> NDArray[np.generic]:
    """The values where numpy finds them; it has no bfloat16, which FP32 holds exactly."""
    here = tensor.detach().resolve_neg().cpu()
    return (here.float() if here.dtype is torch.bfloat16 else here).numpy()


def _groups(values: Tensor, m: int, axis: int, filler: float) -> tuple[Tensor, int]:
    """(values as (..., groups, m), with `axis` last and the last group filled up; the axis' length)."""
    moved = values.movedim(axis, -1)
    length = moved.shape[-1]
    padded = pad(moved, (0, -length % m), value=filler)
    return padded.reshape(*moved.shape[:-1], -1, m), length


def random_mask(weight: Tensor, fan_in: int, seed: int) -> Tensor:
    """`fan_in` weights of every output, anywhere. weight: (G, O, C, T); it goes into the seed, so layers differ."""
    content = 0 if is_fake(weight) else int(weight.detach().float().contiguous().view(torch.int32).sum())
    generator = torch.Generator().manual_seed((seed + content) % 2**62)
    scores = torch.rand(weight.shape, generator=generator).to(weight.device)  # drawn alike for every device
    return _largest(scores.flatten(2), fan_in).reshape(scores.shape)


def regrown(weight: Tensor, gradient: Tensor, mask: Tensor, fan_in: int, share: float) -> Tensor:
    """The mask without the `share` of the layer's smallest kept weights, grown where the gradient is largest.

    All are (G, O, C, T). Every output has `fan_in` again. A gradient that overflowed counts as 0.
    """
    kept = int(mask.sum())
    magnitudes = weight.abs().where(mask, -1.0).flatten()
    order = torch.sort(magnitudes, descending=True, stable=True).indices[: kept - int(share * kept)]
    staying = torch.zeros_like(mask).flatten().index_fill_(0, order, True).reshape(mask.shape)
    wanted = gradient.abs().nan_to_num(nan=0.0, posinf=0.0)
    return _largest(wanted.masked_fill(staying, torch.inf).flatten(2), fan_in).reshape(mask.shape)


def best_2_of_4(weight: Tensor) -> Tensor:
    """The mask with exactly two of four, in both directions, that keeps the most magnitude: the best of 90 patterns.

    A mask of at most two can keep slightly more in some tiles, with seven ones. weight: (G, O, C, T). Ties go to the
    first pattern in the order of `patterns_2_of_4`.
    """
    patterns = patterns_2_of_4()
    magnitudes = weight.detach().abs().float()  # added on the CPU, so that every device has the same best
    best = (_tiles(magnitudes if is_fake(weight) else magnitudes.cpu(), 4, filler=0.0) @ patterns.mT).argmax(-1)
    return _untiled(patterns[best].bool(), 4, weight.shape).to(weight.device)


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
        return torch.empty(scores.shape, dtype=torch.bool, device=scores.device)
    tiles = _tiles(scores.detach(), m, filler=NEVER)
    order = torch.sort(tiles, dim=-1, descending=True, stable=True).indices
    each = torch.arange(tiles.shape[0], device=tiles.device)
    rows, cols = (torch.zeros(tiles.shape[0], m, dtype=torch.int32, device=tiles.device) for _ in range(2))
    mask = torch.zeros(tiles.shape, dtype=torch.bool, device=tiles.device)
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


def reordered(tensor: Tensor, order: Tensor) -> Tensor:
    """A (G, O, ...) tensor with the O channels of each group in its order. order: (G, O), where each comes from."""
    return tensor[torch.arange(len(order))[:, None], order]


def inverse(order: Tensor) -> Tensor:
    """The order that undoes another, (G, O)."""
    return order.argsort(-1)


def best_order(mask: Tensor, pattern: Pattern, candidates: int, seed: int) -> Tensor:
    """The best of `candidates` random orders of each group's output channels, (G, O): the one that keeps the most.

    mask: (G, O, C, T) of booleans. A group of m channels keeps at most n of what the mask keeps. Of a mask without
    values the channels' own order is taken.
    """
    groups, outside = mask.shape[:2]
    if is_fake(mask):
        return torch.arange(outside, device=mask.device).expand(groups, -1)
    generator = torch.Generator().manual_seed(seed)
    orders = torch.stack([torch.rand(groups, outside, generator=generator).argsort(-1) for _ in range(candidates)])
    counts = np.empty(mask[0, 0].numel(), np.uint8 if pattern.m <= MOST_IN_A_BYTE else np.uint16)
    kept = _kept(mask.flatten(2).contiguous().cpu().numpy(), orders.numpy(), pattern.n, pattern.m, counts)
    best = torch.from_numpy(kept.argmax(0))  # the first of equals
    return orders[best, torch.arange(groups)].to(mask.device)


@compiled(nogil=True)
def _kept(
    mask: NDArray[np.bool_], orders: NDArray[np.int64], n: int, m: int, counts: NDArray[np.generic]
) -> NDArray[np.int64]:
    """Elements that each group keeps in each order, (candidates, G). mask: (G, O, rest); counts: (rest,), scratch."""
    groups, outside, rest = mask.shape
    kept = np.zeros((len(orders), groups), np.int64)
    for candidate in range(len(orders)):
        for group in range(groups):
            for start in range(0, outside, m):
                counts[:] = 0
                for channel in orders[candidate, group, start : start + m]:
                    for place in range(rest):
                        counts[place] += mask[group, channel, place]
                total = 0
                for place in range(rest):
                    total += min(counts[place], n)
                kept[candidate, group] += total
    return kept
