"""Products of a layer with a weight, of which FF, BP and WU each use other operands.

    FF  Y = X (W * FF mask)        BP  dX = (pruned dY) (W * BP mask)        WU  dW = X' dY, dense

The weight of BP is made in the backward pass, from the dense weight and the mask: so no masked copy is kept between the
passes, and autograd finds a weight that was changed in between.

In mixed precision every operand is rounded to FP16 and multiplied and added in FP32: FP16 x FP16 is exact there, so
this is what hardware with FP16 inputs and FP32 accumulators computes, up to the order of additions. Under torch's own
autocast, products are in its number format, as those of any layer are.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, Protocol, final

import torch
from torch import Tensor, nn

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


@final
class How(NamedTuple):
    """How a layer multiplies: the number format of the product, operands rounded to FP16 or not, what prunes dY."""

    dtype: torch.dtype
    mixed: bool
    prune: Pruner | None


class Context(Protocol):
    """What the forward pass of a product leaves to its backward pass."""

    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]
    at: Geometry
    how: How

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...


def rounded(tensor: Tensor, mixed: bool) -> Tensor:
    """FP32 values as a product sees them: rounded to FP16 in mixed precision."""
    return tensor.half().float() if mixed else tensor


def masked(weight: Tensor, mask: Tensor) -> Tensor:
    """The weight with a boolean mask, or multiplied by factors; dropped weights are +0."""
    return torch.where(mask, weight, 0.0) if mask.dtype is torch.bool else weight * mask


def seen(weight: Tensor, mask: Tensor | None, how: How) -> Tensor:
    """The weight as a product sees it. A dropped weight below 0 is -0, which changes no product."""
    weight = rounded(weight, how.mixed).to(how.dtype)
    if mask is None:
        return weight
    if mask.dtype is torch.bool:
        return weight * mask.view(torch.uint8)  # 2.5 times as fast as torch.where on a CPU (measured)
    return rounded(weight * mask.to(how.dtype), how.mixed)  # factors leave FP16


def product_dtype(x: Tensor, weight: Tensor) -> torch.dtype:
    """The number format that a product of the two runs in: the weight's own, or that of autocast."""
    kind = x.device.type
    if not _is_autocast(kind):
        return weight.dtype
    return weight.dtype if x.dtype is torch.float64 else torch.get_autocast_dtype(kind)  # which leaves FP64 alone


def _without_autocast(tensor: Tensor) -> AbstractContextManager[object]:
    """Backward products run in the format of the forward ones, wherever backward is called."""
    kind = tensor.device.type
    return torch.autocast(kind, enabled=False) if _is_autocast(kind) else nullcontext()


def _is_autocast(kind: str) -> bool:
    """Whether autocast is on for a kind of device; torch does not know of it on the one without values."""
    return kind != "meta" and torch.is_autocast_enabled(kind)


def applied(function: type[torch.autograd.Function], *arguments: object) -> Tensor:
    """The result of an autograd function.

    torch's `apply` binds the arguments to their names first, which takes as long as a small product. Only compilers and
    torch.func need that; otherwise the `apply` below it is called.
    """
    named = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
    apply = function.apply if named else super(torch.autograd.Function, function).apply  # type: ignore[misc]
    result: Tensor = apply(*arguments)
    return result


class Rounded(torch.autograd.Function):
    """Values rounded to FP16; the gradient goes through as it is."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return rounded(x, True)

    @staticmethod
    def setup_context(ctx: Context, inputs: tuple[Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Context, gradient: Tensor) -> Tensor:  # noqa: ARG004  torch's signature
        return gradient


def operand(x: Tensor, how: How) -> Tensor:
    """An activation as a product sees it."""
    return applied(Rounded, x) if how.mixed else x.to(how.dtype)


class MaskedLinear(torch.autograd.Function):
    """x: (..., I); weight and masks: (O, I). Gives (..., O)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        ahead: Tensor | None,
        back: Tensor | None,  # noqa: ARG004  for the backward pass
        how: How,
    ) -> Tensor:
        return nn.functional.linear(x, seen(weight, ahead, how), bias)

    @staticmethod
    def setup_context(
        ctx: Context,
        inputs: tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None, How],
        output: Tensor,  # noqa: ARG004
    ) -> None:
        x, weight, _, _, back, ctx.how = inputs
        ctx.save_for_backward(x, weight, back)

    @staticmethod
    def backward(ctx: Context, gradient: Tensor) -> Gradients:
        x, weight, back = ctx.saved_tensors
        how = ctx.how
        with _without_autocast(gradient):
            gradient = rounded(gradient, how.mixed)
            rows = gradient.reshape(-1, gradient.shape[-1])
            dx = dw = None
            if ctx.needs_input_grad[0]:
                sent = how.prune(rows, 1) if how.prune else rows
                dx = (sent @ seen(weight, back, how)).reshape(x.shape)
            if ctx.needs_input_grad[1]:
                dw = (rows.mT @ x.reshape(-1, x.shape[-1])).to(weight.dtype)
            db = rows.sum(0) if ctx.needs_input_grad[2] else None
        return dx, dw, db, None, None, None


class MaskedConvolution(torch.autograd.Function):
    """x: (B, C, *hw); weight and masks: (O, C / groups, *kernel). Gives (B, O, *hw)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        ahead: Tensor | None,
        back: Tensor | None,  # noqa: ARG004  for the backward pass
        how: How,
        at: Geometry,
    ) -> Tensor:
        return torch.convolution(x, seen(weight, ahead, how), bias, *at)

    @staticmethod
    def setup_context(
        ctx: Context,
        inputs: tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None, How, Geometry],
        output: Tensor,  # noqa: ARG004
    ) -> None:
        x, weight, _, _, back, ctx.how, ctx.at = inputs
        ctx.save_for_backward(x, weight, back)

    @staticmethod
    def backward(ctx: Context, gradient: Tensor) -> Gradients:
        x, weight, back = ctx.saved_tensors
        how, at = ctx.how, ctx.at
        with _without_autocast(gradient):
            gradient = rounded(gradient, how.mixed)
            dx = None
            if ctx.needs_input_grad[0]:
                sent = how.prune(gradient, 1) if how.prune else gradient
                dx = _backward(sent, x, seen(weight, back, how), at, [True, False, False])[0]
            # the weight gradient does not depend on the weight, of which torch wants one all the same
            dw, db = _backward(gradient, x, weight.to(how.dtype), at, [False, *ctx.needs_input_grad[1:3]])[1:]
        return dx, None if dw is None else dw.to(weight.dtype), db, None, None, None, None


def _backward(gradient: Tensor, x: Tensor, weight: Tensor, at: Geometry, wanted: list[bool]) -> list[Tensor]:
    channels = [weight.shape[1] * at.groups if at.transposed else weight.shape[0]]  # of the bias
    result: list[Tensor] = torch.ops.aten.convolution_backward(gradient, x, weight, channels, *at, wanted)
    return result


class HalfMatMul(torch.autograd.Function):
    """(..., r, k) by (..., k, c), both rounded to FP16."""

    @staticmethod
    def forward(ctx: Context, left: Tensor, right: Tensor) -> Tensor:
        left, right = rounded(left, True), rounded(right, True)
        ctx.save_for_backward(left, right)
        return left @ right

    @staticmethod
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor, Tensor]:
        left, right = ctx.saved_tensors
        gradient = rounded(gradient, True)
        return gradient @ right.mT, left.mT @ gradient
