"""Masks of grouped patterns in torch: equal to `workloads.masks.group_mask`, element for element."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from workloads.errors import UserError
from workloads.pattern import Pattern


def group_mask(weight: Tensor, pattern: Pattern, axis: int) -> Tensor:
    """True where a weight is kept: the n largest magnitudes of every m along `axis`, ties to the lower index.

    weight: any shape. The last group may be shorter and keeps min(n, its length). Raises UserError for a pattern
    without groups.
    """
    if not pattern.is_grouped:
        raise UserError(f"pattern '{pattern}': masks can be trained for 'n:m' and 'bank n:m' only")
    groups, length = _groups(weight.detach().abs(), pattern.m, axis, filler=-1.0)
    order = torch.sort(groups, dim=-1, descending=True, stable=True).indices[..., : pattern.n]
    mask = torch.zeros_like(groups, dtype=torch.bool).scatter_(-1, order, True)
    return mask.flatten(-2)[..., :length].movedim(-1, axis).contiguous()


def largest_group_count(weight: Tensor, m: int, axis: int) -> int:
    """The most non-zeros that any group of m along `axis` holds."""
    groups, _ = _groups((weight.detach() != 0).float(), m, axis, filler=0.0)
    return int(groups.sum(-1).max())


def _groups(values: Tensor, m: int, axis: int, filler: float) -> tuple[Tensor, int]:
    """(values as (..., groups, m), with `axis` last and the last group filled up; the axis' length)."""
    moved = values.movedim(axis, -1)
    length = moved.shape[-1]
    padded = pad(moved, (0, -length % m), value=filler)
    return padded.reshape(*moved.shape[:-1], -1, m), length
