"""Masks of grouped patterns in torch: `workloads.masks.group_mask` on a CPU, the same by sorting on other devices."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from workloads import masks
from workloads.errors import UserError
from workloads.pattern import Pattern


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
    order = torch.sort(groups, dim=-1, descending=True, stable=True).indices[..., :n]
    mask = torch.zeros_like(groups, dtype=torch.bool).scatter_(-1, order, True)
    return mask.flatten(-2)[..., :length].movedim(-1, axis).contiguous()


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
