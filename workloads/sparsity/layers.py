"""Modules made sparse: each keeps its parameters, its attributes and its class, of which it gets a subclass.

A linear layer or convolution whose forward pass is torch's own multiplies by `products`. Every other module, and every
module that reads weights of its children itself (a reader, as torch's attention is), runs its own forward pass inside
a window, in which the weights that it reads are masked.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, wraps
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from workloads.errors import UserError
from workloads.models.transformer import MatMul
from workloads.sparsity.hooks import RAN, follow
from workloads.sparsity.masked_weight import TREATMENTS, Transposed, Treatment, masked_weights_of
from workloads.sparsity.products import (
    Geometry,
    HalfMatMul,
    How,
    MaskedConvolution,
    MaskedLinear,
    applied,
    operand,
    product_dtype,
)
from workloads.sparsity.window import Window, open_window, window_now

Layers = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *Transposed, nn.Linear)
Forward = Callable[..., object]
EXPORTING = getattr(torch.compiler, "is_exporting", None)  # not in torch 2.6


class SparseModule(nn.Module):
    """What modules made sparse have in common. Their classes are made by `sparse_class`, one for each class of theirs.

    Abstract: no instance is of this class alone.
    """

    original: type[nn.Module]  # the class that it had
    names: tuple[str, ...]  # of its sparse weights
    windowed: bool

    def __new__(cls) -> "SparseModule":
        made = super().__new__(cls)
        follow(made)  # a copy is trained too
        return made

    def __reduce__(self) -> tuple[object, ...]:
        """The class is made again where it is read, since no module has it."""
        return _restored, (self.original, self.names, self.windowed), self.__getstate__()  # type: ignore[no-untyped-call]

    def extra_repr(self) -> str:
        found = [(each.name, each.treatment) for each in masked_weights_of(self)]
        words = [
            f"{name.removesuffix('weight')}{treatment.method.name} {treatment.pattern}"
            for name, treatment in found
            if not treatment.pattern.is_dense
        ]
        return ", ".join(part for part in (super().extra_repr(), *words) if part)

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Tensor],
        prefix: str,
        local_metadata: Mapping[str, object],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """A state without any masks is that of a dense model: masks are made of its weights."""
        weights = list(masked_weights_of(self))
        for weight in weights:
            of = state_dict.get(prefix + weight.buffer_name("of"))
            if of is not None and weight.buffer("of") is not None and bytes(of.tolist()) != weight.words.encode():
                words = bytes(of.tolist()).decode(errors="replace")
                error_msgs.append(f"{weight.said}: its masks are of {words}; the model's are of {weight.words}")
                return
        for name in (name for weight in weights for name in weight.buffer_names):
            held, given = self._buffers[name], state_dict.get(prefix + name)
            if held is not None and given is not None and held.dtype is not given.dtype:  # a mask that fades is no bool
                self._buffers[name] = torch.empty_like(held, dtype=given.dtype)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        for weight in weights:
            absent = [prefix + name for name in weight.buffer_names]
            if absent and not any(name in state_dict for name in absent) and prefix + weight.name in state_dict:
                missing_keys[:] = [name for name in missing_keys if name not in absent]
                weight.make_masks(0)


def _linear(module: nn.Module, x: Tensor) -> Tensor:
    weight, bias, ahead, back, how = _operands(module, x)
    return applied(MaskedLinear, operand(x, how), weight, bias, ahead, back, how)


def _convolution(module: nn.Module, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
    """output_size: of a transposed convolution, which several sizes of input positions could give."""
    assert isinstance(module, _ConvNd) and not isinstance(module.padding, str)
    weight, bias, ahead, back, how = _operands(module, x)
    axes = weight.dim() - 2
    more = module.output_padding
    if isinstance(module, _ConvTransposeNd):
        place = (module.stride, module.padding, module.kernel_size, axes, module.dilation)
        more = tuple(module._output_padding(x, output_size, *place))  # type: ignore[arg-type]
    at = Geometry(module.stride, module.padding, module.dilation, module.transposed, more, module.groups)
    batch = operand(x if x.dim() == axes + 2 else x[None], how)
    result = applied(MaskedConvolution, batch, weight, bias, ahead, back, how, at)
    return result if x.dim() == axes + 2 else result[0]


def _operands(module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None, How]:
    setattr(module, RAN, True)
    _check_export(module)
    weight = next(masked_weights_of(module))
    master, bias, treatment = weight.master, module._parameters.get("bias"), weight.treatment
    prune = weight.pruned if treatment.method.pruned_gradient else None
    how = How(product_dtype(x, master), treatment.mixed, prune)
    return master, None if bias is None else bias.to(how.dtype), *weight.operand_masks, how


def _check_export(module: nn.Module) -> None:
    """Raises UserError where torch.export takes a model in training mode: it keeps no backward pass of ours."""
    if module.training and EXPORTING is not None and EXPORTING():
        raise UserError(
            "torch.export of a sparse model in training mode would lose the weights of BP; call eval() first, or "
            "export the model of workloads.finalize"
        )


def _half_matmul(_: nn.Module, left: Tensor, right: Tensor) -> Tensor:
    result: Tensor = HalfMatMul.apply(left, right)  # type: ignore[no-untyped-call]
    return result


def _windowed(original: type[nn.Module]) -> Forward:
    own = original.forward

    @wraps(own)
    def forward(self: nn.Module, *args: object, **named: object) -> object:  # a reader's arguments are its own
        _check_export(self)
        with open_window() as window:
            result = own(self, *args, **named)
            _check_read(self, window, args)
        return result

    return forward


def _check_read(module: nn.Module, window: Window, args: Sequence[object]) -> None:
    """Raises UserError for a layer that does something to its weight before it multiplies by it: masks would be lost.

    What a product saved is seen where gradients are wanted of the input.
    """
    wanted = torch.is_grad_enabled() and bool(args) and isinstance(args[0], Tensor) and args[0].requires_grad
    if wanted and isinstance(module, Layers) and not window.was_multiplied(module):
        said = next(masked_weights_of(module)).said
        raise UserError(
            f"{said}: does not multiply by its weight as it is, so no mask of it would hold; keep this layer dense"
        )


def needs_window(module: nn.Module) -> bool:
    """Whether a module runs its own forward pass when it is sparse: it is no plain layer, or reads others' weights."""
    if not isinstance(module, Layers):
        return True
    kind = next(kind for kind in Layers if isinstance(module, kind))
    if type(module).forward is not kind.forward:
        return True
    return isinstance(module, _ConvNd) and (isinstance(module.padding, str) or module.padding_mode != "zeros")


def _forward_of(original: type[nn.Module], windowed: bool) -> Forward:
    if windowed:
        return _windowed(original)
    if issubclass(original, MatMul):
        return _half_matmul
    return _linear if issubclass(original, nn.Linear) else _convolution


def _seen(name: str) -> property:
    """A weight: the dense parameter, and in a window the masked one."""

    def read(module: nn.Module) -> Tensor:
        found = next(each for each in masked_weights_of(module) if each.name == name)
        window = window_now()
        if window is None:
            return found.master
        setattr(module, RAN, True)
        return window.read(found)

    def write(module: nn.Module, _: object) -> None:
        said = next(each.said for each in masked_weights_of(module) if each.name == name)
        raise UserError(
            f"{said}: keeps its parameter '{name}', and another tool wants to take its place; give that tool the model "
            "of workloads.finalize, or the layer to exclude="
        )

    return property(read, write)


@cache
def sparse_class(original: type[nn.Module], names: tuple[str, ...], windowed: bool) -> type[SparseModule]:
    """The class of a module that is made sparse, named as before. names: of its sparse weights."""
    space = {
        "original": original,
        "names": names,
        "windowed": windowed,
        "forward": _forward_of(original, windowed),
        "__module__": original.__module__,
        "__doc__": original.__doc__,
        **{name: _seen(name) for name in names},
    }
    return cast(type[SparseModule], type(original.__name__, (SparseModule, original), space))


def _restored(original: type[nn.Module], names: tuple[str, ...], windowed: bool) -> SparseModule:
    kind = sparse_class(original, names, windowed)  # type: ignore[arg-type]  # a class can be hashed
    return kind.__new__(kind)


def treat(module: nn.Module, treatments: Mapping[str, Treatment], windowed: bool) -> None:
    """Make a module sparse, in place: its weights by name. Without any it is a reader of its children's weights.

    One that is sparse already keeps what was done to its other weights.
    """
    original, before = type(module), dict[str, Treatment]()
    if isinstance(module, SparseModule):
        original, before, windowed = module.original, module.__dict__[TREATMENTS], windowed or module.windowed
    module.__dict__[TREATMENTS] = {**before, **treatments}
    module.__class__ = sparse_class(original, (*before, *treatments), windowed)  # type: ignore[arg-type]
    follow(module)


def restore(module: nn.Module) -> None:
    """Give a sparse module its own class back, in place, without masks; its weights stay as they are."""
    assert isinstance(module, SparseModule)
    for weight in masked_weights_of(module):
        for name in weight.buffer_names:
            del module._buffers[name]
    for name in (TREATMENTS, RAN):
        module.__dict__.pop(name, None)
    module.__class__ = module.original  # type: ignore[assignment]
