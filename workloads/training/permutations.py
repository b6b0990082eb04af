"""Orders of output channels, and the search for one in which few of the kept weights crowd in one group."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from workloads.pattern import Pattern
from workloads.training.recorder import is_fake


def reordered(tensor: Tensor, order: Tensor) -> Tensor:
    """A (G, O, ...) tensor with the O channels of each group in its order. order: (G, O), where each comes from."""
    return tensor[torch.arange(len(order))[:, None], order]


def inverse(order: Tensor) -> Tensor:
    """The order that undoes another, (G, O)."""
    return order.argsort(-1)


def best_order(mask: Tensor, pattern: Pattern, candidates: int, seed: int) -> Tensor:
    """The best of `candidates` random orders of each group's output channels, (G, O): the one that keeps the most.

    mask: (G, O, C, T) of booleans. A group of m channels keeps at most n of what the mask keeps.
    """
    generator = torch.Generator().manual_seed(seed)
    groups, outside = mask.shape[:2]
    flat = mask.flatten(2).to(torch.uint8)
    best, most = torch.empty(0), torch.full((groups,), -1)
    for number in range(1 if is_fake(mask) else candidates):
        order = torch.rand(groups, outside, generator=generator).argsort(-1)
        kept = _kept(reordered(flat, order), pattern)
        best = torch.where((kept > most)[:, None], order, best) if number else order
        most = torch.maximum(kept, most)
    return best


def _kept(mask: Tensor, pattern: Pattern) -> Tensor:
    """Elements that each of G groups keeps, (G,). mask: (G, O, rest)."""
    padded = pad(mask, (0, 0, 0, -mask.shape[1] % pattern.m))
    counts = padded.unflatten(1, (-1, pattern.m)).sum(2, dtype=torch.int16)  # type: ignore[no-untyped-call]
    kept: Tensor = counts.clamp_(max=pattern.n).sum((1, 2))
    return kept
