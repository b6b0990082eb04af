"""Layers of a model whose products a session does: autograd calls it for FF, BP and WU. All else is torch's.

Activations and output gradients are rounded to FP16 where they enter a product; biases are added in FP32 here.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, cast, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workloads.errors import UserError
from workloads.sparsity.hooks import RAN
from workloads.sparsity.layers import SparseModule, needs_window
from workloads.training.backend import Half, Layer, Session, Single
from workloads.training.layouts import Pair, by_channel, folded, spread, unfolded, weight_of

Kinds = (nn.Linear, nn.Conv2d)
Gradients = MutableMapping[str, Single]


@final
@dataclass(frozen=True)
class Attached:
    """A layer's way to a session. any_rows: a batch may have another size than that of the recorded step. gradients:
    what WU gave last, by layer."""

    layer: Layer
    session: Session
    any_rows: bool
    gradients: Gradients

    def left(self, module: nn.Module, x: Tensor) -> Half:
        """FF's left operand. Raises UserError for another number of rows than the session was begun with."""
        values = halves(x)
        rows = unfolded(values, *_places(module)) if isinstance(module, nn.Conv2d) else _flat(values)
        if not self.any_rows and len(rows) != self.layer.forward.rows:
            raise UserError(
                f"layer '{self.layer.name}': has {len(rows)} rows in this step and {self.layer.forward.rows} in the "
                "first; the steps of a backend are alike"
            )
        return rows


class Context(Protocol):
    """What the forward pass of a product leaves to its backward pass."""

    to: Attached
    module: nn.Module
    left: Half
    shape: torch.Size
    needs_input_grad: tuple[bool, ...]


@final
class ThroughSession(torch.autograd.Function):
    """x: (..., I) of a linear layer, (B, C, H, W) of a convolution. Gives FP32 outputs without the bias."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, weight: Tensor, to: Attached, module: nn.Module) -> Tensor:
        ctx.to, ctx.module, ctx.shape = to, module, x.shape
        ctx.left = to.left(module, x)
        rows = to.session.forward(to.layer.name, ctx.left)
        if not isinstance(module, nn.Conv2d):
            return singles(rows).reshape(*x.shape[:-1], weight.shape[0])
        kernel, padding = _places(module)
        high, wide = (x.shape[2 + axis] + 2 * padding[axis] - kernel[axis] + 1 for axis in (0, 1))
        return singles(folded(rows, x.shape[0], (high, wide)))

    @staticmethod
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor | None, ...]:
        to, module, name = ctx.to, ctx.module, ctx.to.layer.name
        values = halves(gradient)
        is_image = isinstance(module, nn.Conv2d)
        dx = dw = None
        if ctx.needs_input_grad[0]:
            rows = to.session.input_gradient(name, spread(values, *_places(module)) if is_image else _flat(values))
            size = cast(Pair, tuple(ctx.shape[2:]))
            dx = singles(folded(rows, ctx.shape[0], size)) if is_image else singles(rows).reshape(ctx.shape)
        if ctx.needs_input_grad[1]:
            found = to.session.weight_gradient(name, ctx.left, by_channel(values) if is_image else _flat(values))
            to.gradients[name] = found
            weight = cast(Tensor, module._parameters["weight"])
            dw = torch.from_numpy(weight_of(found.copy(), tuple(weight.shape)))
        return dx, dw, None, None


@final
@dataclass(frozen=True)
class Forward:
    """The forward pass of an attached layer."""

    module: nn.Module
    to: Attached

    def __call__(self, x: Tensor) -> Tensor:
        weight, bias = (self.module._parameters.get(name) for name in ("weight", "bias"))
        alone = isinstance(self.module, nn.Conv2d) and x.dim() == 3
        given = x[None] if alone else x
        found: Tensor = ThroughSession.apply(given, weight, self.to, self.module)  # type: ignore[no-untyped-call]
        if bias is not None:
            found = found + (bias[:, None, None] if isinstance(self.module, nn.Conv2d) else bias)
        return found[0] if alone else found


@contextmanager
def attached(
    model: nn.Module, layers: Mapping[str, Layer], session: Session, gradients: Gradients, any_rows: bool = False
) -> Iterator[None]:
    """While it is entered, the layers of a model multiply through a session. gradients: where those of weights go."""
    modules = {name: model.get_submodule("" if name == "model" else name) for name in layers}
    try:
        for name, module in modules.items():
            module.__dict__["forward"] = Forward(module, Attached(layers[name], session, any_rows, gradients))
            module.__dict__[RAN] = True
        yield
    finally:
        for module in modules.values():
            module.__dict__.pop("forward", None)


def check_layers(model: nn.Module, layers: Mapping[str, Layer]) -> None:
    """Raises UserError for a layer that is no plain one with a weight of its own, in FP32."""
    owners: dict[int, list[str]] = {}
    for place, module in model.named_modules(remove_duplicate=False):
        for name, parameter in module._parameters.items():
            if parameter is not None:
                owners.setdefault(id(parameter), []).append(f"{place}.{name}" if place else name)
    for name, layer in layers.items():
        module = model.get_submodule("" if name == "model" else name)
        windowed = module.windowed if isinstance(module, SparseModule) else needs_window(module)
        if not isinstance(module, Kinds) or windowed:
            raise UserError(
                f"layer '{name}': is a {type(module).__name__} that multiplies in a way of its own; backends take "
                "plain linear layers and 2-D convolutions padded with zeros"
            )
        weight = cast(Tensor, module._parameters["weight"])
        if owners[id(weight)] != [layer.parameter]:
            raise UserError(f"layer '{name}': shares its weight ({', '.join(owners[id(weight)])})")
        if weight.dtype is not torch.float32:
            raise UserError(f"layer '{name}': its weight is of {weight.dtype}; backends update FP32 ones")


def halves(x: Tensor) -> Half:
    """Values rounded to FP16."""
    found: Half = x.detach().half().contiguous().numpy()
    return found


def singles(rows: Half | Single) -> Tensor:
    """Values in FP32."""
    return torch.from_numpy(np.ascontiguousarray(rows, np.float32))


def _flat(values: NDArray[np.float16]) -> Half:
    return values.reshape(-1, values.shape[-1])


def _places(module: nn.Module) -> tuple[Pair, Pair]:
    """Kernel and padding of a convolution."""
    assert isinstance(module, nn.Conv2d) and not isinstance(module.padding, str)
    return cast(Pair, module.kernel_size), cast(Pair, module.padding)
