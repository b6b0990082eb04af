"""The three products of a layer as autograd functions: FF, BP and WU may each use another operand.

`ahead` and `back` are the weights of FF and BP. The dense weight `master` is passed only so that it gets the gradient.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, final

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Pruner = Callable[[Tensor, int], Tensor]  # (output gradient, its channel axis) -> what BP uses
Gradients = tuple[Tensor | None, ...]


@final
class Geometry(NamedTuple):
    """A convolution's numbers in the order torch takes them."""

    stride: Sequence[int]
    padding: Sequence[int]
    dilation: Sequence[int]
    transposed: bool
    output_padding: Sequence[int]
    groups: int


class Context(Protocol):
    """What the forward pass of a product leaves to its backward pass."""

    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]
    at: Geometry
    mixed: bool
    prune: Pruner

    def save_for_backward(self, *tensors: Tensor) -> None: ...


def rounded(tensor: Tensor, mixed: bool) -> Tensor:
    """FP32 values as a product sees them: rounded to FP16 in mixed precision."""
    return tensor.half().float() if mixed else tensor


def convolution(
    x: Tensor,
    master: Tensor,
    bias: Tensor | None,
    ahead: Tensor,
    back: Tensor,
    at: Geometry,
    mixed: bool,
    prune: Pruner,
) -> Tensor:
    """x: (B, C, *hw); weights: (O, C / groups, *kernel). Returns (B, O, *hw)."""
    result: Tensor = _Convolution.apply(x, master, bias, ahead, back, at, mixed, prune)  # type: ignore[no-untyped-call]
    return result


def linear(
    x: Tensor, master: Tensor, bias: Tensor | None, ahead: Tensor, back: Tensor, mixed: bool, prune: Pruner
) -> Tensor:
    """x: (..., I); weights: (O, I). Returns (..., O)."""
    result: Tensor = _Linear.apply(x, master, bias, ahead, back, mixed, prune)  # type: ignore[no-untyped-call]
    return result


def matmul(left: Tensor, right: Tensor) -> Tensor:
    """(..., r, k) by (..., k, c), both rounded to FP16."""
    result: Tensor = _MatMul.apply(left, right)  # type: ignore[no-untyped-call]
    return result


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Context,
        x: Tensor,
        _master: Tensor,
        bias: Tensor | None,
        ahead: Tensor,
        back: Tensor,
        at: Geometry,
        mixed: bool,
        prune: Pruner,
    ) -> Tensor:
        x = rounded(x, mixed)
        ctx.save_for_backward(x, back)
        ctx.at, ctx.mixed, ctx.prune = at, mixed, prune
        return torch.convolution(x, ahead, bias, *at)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, gradient: Tensor) -> Gradients:
        x, back = ctx.saved_tensors
        gradient = rounded(gradient, ctx.mixed)
        dx = None
        if ctx.needs_input_grad[0]:
            dx = _convolution_backward(ctx.prune(gradient, 1), x, back, ctx.at, [True, False, False])[0]
        dw, db = _convolution_backward(gradient, x, back, ctx.at, [False, *ctx.needs_input_grad[1:3]])[1:]
        return dx, dw, db, None, None, None, None, None


def _convolution_backward(
    gradient: Tensor, x: Tensor, weight: Tensor, at: Geometry, wanted: list[bool]
) -> list[Tensor]:
    channels = [weight.shape[0]]  # of the bias
    result: list[Tensor] = torch.ops.aten.convolution_backward(gradient, x, weight, channels, *at, wanted)
    return result


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Context,
        x: Tensor,
        _master: Tensor,
        bias: Tensor | None,
        ahead: Tensor,
        back: Tensor,
        mixed: bool,
        prune: Pruner,
    ) -> Tensor:
        x = rounded(x, mixed)
        ctx.save_for_backward(x, back)
        ctx.mixed, ctx.prune = mixed, prune
        return nn.functional.linear(x, ahead, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, gradient: Tensor) -> Gradients:
        x, back = ctx.saved_tensors
        gradient = rounded(gradient, ctx.mixed)
        rows = gradient.reshape(-1, gradient.shape[-1])
        dx = dw = None
        if ctx.needs_input_grad[0]:
            dx = (ctx.prune(rows, 1) @ back).reshape(x.shape)
        if ctx.needs_input_grad[1]:
            dw = rows.mT @ x.reshape(-1, x.shape[-1])
        db = rows.sum(0) if ctx.needs_input_grad[2] else None
        return dx, dw, db, None, None, None, None


class _MatMul(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Context, left: Tensor, right: Tensor) -> Tensor:
        left, right = rounded(left, True), rounded(right, True)
        ctx.save_for_backward(left, right)
        return left @ right

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor, Tensor]:
        left, right = ctx.saved_tensors
        gradient = rounded(gradient, True)
        return gradient @ right.mT, left.mT @ gradient
