"""Masks with one number of kept weights for every output, over all its input channels and kernel positions."""

import torch
from torch import Tensor

from workloads.training.recorder import is_fake


def random_mask(weight: Tensor, fan_in: int, seed: int) -> Tensor:
    """`fan_in` weights of every output, anywhere. weight: (G, O, C, T); it goes into the seed, so layers differ."""
    content = 0 if is_fake(weight) else int(weight.detach().contiguous().view(torch.int32).sum())
    generator = torch.Generator().manual_seed((seed + content) % 2**62)
    scores = torch.rand(weight.shape, generator=generator)
    return _largest_of_each_output(scores, fan_in)


def regrown(weight: Tensor, gradient: Tensor, mask: Tensor, fan_in: int, share: float) -> Tensor:
    """The mask without the `share` of the layer's smallest kept weights, grown where the gradient is largest.

    All are (G, O, C, T). Every output has `fan_in` again. A gradient that overflowed counts as 0.
    """
    kept = int(mask.sum())
    magnitudes = weight.abs().where(mask, -1.0).flatten()
    order = torch.sort(magnitudes, descending=True, stable=True).indices[: kept - int(share * kept)]
    staying = torch.zeros_like(mask).flatten().index_fill_(0, order, True).reshape(mask.shape)
    wanted = gradient.abs().nan_to_num(nan=0.0, posinf=0.0)
    return _largest_of_each_output(wanted.masked_fill(staying, torch.inf), fan_in)


def _largest_of_each_output(scores: Tensor, count: int) -> Tensor:
    rows = scores.flatten(2)
    order = torch.sort(rows, dim=-1, descending=True, stable=True).indices[..., :count]
    return torch.zeros_like(rows, dtype=torch.bool).scatter_(-1, order, True).reshape(scores.shape)
