"""Orders of output channels, and the search for one in which few of the kept weights crowd in one group."""

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from workloads.pattern import Pattern
from workloads.training.recorder import is_fake

MOST_IN_A_BYTE = 255


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
    kept = _kept(mask.flatten(2).contiguous().numpy(), orders.numpy(), pattern.n, pattern.m, counts)
    best = torch.from_numpy(kept.argmax(0))  # the first of equals
    return orders[best, torch.arange(groups)]


@njit(cache=True, nogil=True)
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
