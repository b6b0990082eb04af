"""Operators that torch has no decomposition of, written as the operators that they are made of."""

from collections.abc import Callable, Sequence
from string import ascii_letters

import torch
from torch import Tensor


def trilinear(
    first: Tensor,
    second: Tensor,
    third: Tensor,
    expand1: Sequence[int],
    expand2: Sequence[int],
    expand3: Sequence[int],
    summed: Sequence[int],
    unroll_dim: int = 1,  # noqa: ARG001  in which order torch itself loops
) -> Tensor:
    """Sums over `summed` of the product of three tensors, each with axes of one put in where it has none.

    A bilinear layer is it: (B, I) by (O, I, J) is a product of matrices, and its result by (B, J) another.
    """
    axes = first.dim() + len(expand1)
    letters = ascii_letters[:axes]
    names = ["".join(letters[axis] for axis in range(axes) if axis not in each) for each in (expand1, expand2, expand3)]
    kept = "".join(letters[axis] for axis in range(axes) if axis not in summed)
    between = "".join(each for each in letters if each in names[0] + names[1] and each in kept + names[2])
    half = torch.einsum(f"{names[0]},{names[1]}->{between}", first, second)
    return torch.einsum(f"{between},{names[2]}->{kept}", half, third)


def euclidean_distance(rows: Tensor, others: Tensor) -> Tensor:
    """The distances of all pairs of rows: from |a - b|^2 = |a|^2 - 2 ab + |b|^2, whose middle part is a product."""
    norms = rows.square().sum(-1, keepdim=True), others.square().sum(-1, keepdim=True).mT
    return (norms[0] + norms[1]).sub(torch.matmul(rows, others.mT), alpha=2).clamp_min(0).sqrt()


def addmm_activation(
    added: Tensor, left: Tensor, right: Tensor, *, beta: float = 1, alpha: float = 1, use_gelu: bool = False
) -> Tensor:
    """A linear layer with its activation."""
    made = torch.addmm(added, left, right, beta=beta, alpha=alpha)
    return torch.nn.functional.gelu(made, approximate="tanh") if use_gelu else torch.relu(made)


OWN: dict[str, Callable[..., Tensor]] = {
    "_trilinear": trilinear,
    "_euclidean_dist": euclidean_distance,
    "_addmm_activation": addmm_activation,
}
