"""The arithmetic of a step: a layer's three products, each with operands of its own, and the updates of FP32 weights.

`ahead` and `back` are the weights of FF and BP. The dense weight `master` is passed only so that it gets the gradient.
Updates are written as the update engine does them: every multiplication and addition rounds by itself. torch's own
optimizers fuse some of them (addcmul, lerp, alpha), which changes the last bit.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, final

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from workloads.errors import UserError
from workloads.op import Optimizer

Pruner = Callable[[Tensor, int], Tensor]  # (output gradient, its channel axis) -> what BP uses
Gradients = tuple[Tensor | None, ...]
State = MutableMapping[str, Tensor]  # FP32 values kept for each weight, by name


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


class Convolution(torch.autograd.Function):
    """x: (B, C, *hw); weights: (O, C / groups, *kernel). Gives (B, O, *hw)."""

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
    channels = [weight.shape[1] * at.groups if at.transposed else weight.shape[0]]  # of the bias
    result: list[Tensor] = torch.ops.aten.convolution_backward(gradient, x, weight, channels, *at, wanted)
    return result


class Linear(torch.autograd.Function):
    """x: (..., I); weights: (O, I). Gives (..., O)."""

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


class HalfMatMul(torch.autograd.Function):
    """(..., r, k) by (..., k, c), both rounded to FP16."""

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


@dataclass(frozen=True)
class Update(ABC):
    """How a weight follows its gradient."""

    optimizer: ClassVar[Optimizer]
    states: ClassVar[tuple[str, ...]]  # the names of what it keeps for each weight
    learning_rate: float
    weight_decay: float

    @abstractmethod
    def apply(self, weight: Tensor, gradient: Tensor, state: State, step: int) -> None:
        """Change the weight and its state in place. `step` counts from 1; an empty state is filled with zeros."""


@final
@dataclass(frozen=True)
class Momentum(Update):
    """v = momentum v + (g + decay w); w = w - rate v."""

    optimizer = Optimizer.MOMENTUM
    states = ("momentum",)
    momentum: float = 0.9

    @torch.no_grad()
    def apply(self, weight: Tensor, gradient: Tensor, state: State, step: int) -> None:  # noqa: ARG002  no correction
        velocity = _state(state, "momentum", weight)
        decayed = gradient + weight * self.weight_decay if self.weight_decay else gradient
        velocity.mul_(self.momentum).add_(decayed)
        weight.sub_(velocity * self.learning_rate)


@final
@dataclass(frozen=True)
class AdamW(Update):
    """arXiv 1711.05101, algorithm 2, without a schedule:

    m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g g;  w = w - rate decay w;
    w = w - rate / (1 - b1^t) * (m / (sqrt(v) / sqrt(1 - b2^t) + epsilon)).
    """

    optimizer = Optimizer.ADAMW
    states = ("first_moment", "second_moment")
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    @torch.no_grad()
    def apply(self, weight: Tensor, gradient: Tensor, state: State, step: int) -> None:
        first = _state(state, "first_moment", weight)
        second = _state(state, "second_moment", weight)
        first.mul_(self.beta1).add_(gradient * (1 - self.beta1))
        second.mul_(self.beta2).add_((gradient * gradient).mul_(1 - self.beta2))
        weight.sub_(weight * (self.learning_rate * self.weight_decay))
        # the root rounded to nearest: torch's own on FP32 (MKL's) is one unit off for a fifth of all values
        root = second.double().sqrt().float()
        spread = root.div_((1 - self.beta2**step) ** 0.5).add_(self.epsilon)
        weight.sub_((first / spread).mul_(self.learning_rate / (1 - self.beta1**step)))


def update_for(optimizer: Optimizer, learning_rate: float, weight_decay: float) -> Update:
    """The update of a kind of optimizer at its usual settings. Raises UserError for one that is not trained here."""
    match optimizer:
        case Optimizer.MOMENTUM:
            return Momentum(learning_rate, weight_decay)
        case Optimizer.ADAMW:
            return AdamW(learning_rate, weight_decay)
    raise UserError(f"optimizer '{optimizer}' cannot train; allowed are {Optimizer.MOMENTUM} and {Optimizer.ADAMW}")


def _state(state: State, name: str, weight: Tensor) -> Tensor:
    if name not in state:
        state[name] = torch.zeros_like(weight)
    return state[name]
