"""Layers as a method trains them, and how it is put on a model: FF, BP and WU of one layer may each use other operands.

    FF  Y  = X (W * forward mask)        BP  dX = (pruned dY) (W * backward mask)        WU  dW = X' dY, dense

In mixed precision every operand is rounded to FP16 and multiplied and added in FP32: FP16 x FP16 is exact there, so
this is what hardware with FP16 inputs and FP32 accumulators computes, up to the order of additions. Masks then rank the
rounded weights.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from workloads.errors import UserError
from workloads.methods.base import Known, MaskUse, Method
from workloads.models.transformer import MatMul
from workloads.op import Phase, Role
from workloads.pattern import DENSE, Pattern, PatternMap
from workloads.training.arithmetic import Convolution, Geometry, HalfMatMul, Linear, rounded

Transposed = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
Layers = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *Transposed, nn.Linear)


def masked(weight: Tensor, mask: Tensor) -> Tensor:
    """The weight with a boolean mask, or multiplied by factors; dropped weights are +0."""
    return torch.where(mask, weight, 0.0) if mask.dtype is torch.bool else weight * mask


@final
@dataclass(frozen=True)
class Masks:
    """The masks in force, in the weight's shape, and the permutation (G, O) in which the backward one is grouped."""

    forward: Tensor
    backward: Tensor
    permutation: Tensor | None


@final
@dataclass(frozen=True)
class Treatment:
    """What training does to a layer: the method, the pattern asked of the layer, and the precision of operands."""

    method: Method
    pattern: Pattern
    mixed: bool


class MethodLayer(nn.Module):
    """A layer with a weight that a method may mask. It shares the parameters of the layer it stands for."""

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, dense: nn.Module, treatment: Treatment, groups: int = 1, transposed: bool = False) -> None:
        super().__init__()
        for name in ("weight", "bias"):
            self.register_parameter(name, dense._parameters[name])
        self.treatment = treatment
        self.groups = groups  # of a convolution
        self.transposed = transposed  # its weight is (C, O / groups, *kernel)
        self.pattern = DENSE  # the one in force
        self.masks: Masks | None = None

    def canonical(self, weight: Tensor) -> Tensor:
        """A tensor of the weight's shape as (G, O, C, T)."""
        found = weight.reshape(self.groups, weight.shape[0] // self.groups, weight.shape[1], -1)
        return found.transpose(1, 2).contiguous() if self.transposed else found

    def own(self, canonical: Tensor) -> Tensor:
        """A tensor in (G, O, C, T) as one of the weight's shape."""
        return (canonical.transpose(1, 2) if self.transposed else canonical).reshape(self.weight.shape)

    def pattern_of(self, phase: Phase, role: Role) -> Pattern:
        """The pattern in force of one operand; dense where its groups are too short for anything to be dropped."""
        if not self.treatment.method.operand(phase, role):
            return DENSE
        _, outside, inside, taps = self.canonical(self.weight).shape
        return self.pattern.on(inside if phase is Phase.FF else outside, taps)

    @property
    def is_sparse(self) -> bool:
        """Whether the method makes it sparse, now or later."""
        _, outside, inside, taps = self.canonical(self.weight).shape
        phases = {each.phase for each in self.treatment.method.sparse} or set(Phase)
        channels = [size for phase, size in ((Phase.FF, inside), (Phase.BP, outside)) if phase in phases]
        drops = any(not self.treatment.pattern.on(size, taps).is_dense for size in channels)
        return drops and (self.masks is not None or not self.pattern.is_dense)

    @torch.no_grad()
    def make_masks(self, step: int) -> None:
        """Make the masks for a step, if the method makes new ones then."""
        method, pattern = self.treatment.method, self.treatment.pattern
        if not method.makes_masks(step) and self.masks is not None:
            return
        self.pattern = method.pattern_at(pattern, step)
        if pattern.is_dense or method.mask_use is MaskUse.NONE:
            self.masks = None
            return
        weight, known = self.canonical(rounded(self.weight.detach(), self.treatment.mixed)), self._known()
        with method.named():
            forward = method.forward_mask(weight, pattern, known, step)
            order = method.permutation(forward, pattern, known, step) if method.permutation else None
            now = replace(known, forward_mask=forward, permutation=order)
            backward = method.backward_mask(weight, pattern, now, step) if method.backward_mask else forward
        self.masks = Masks(self.own(forward), self.own(backward), order)

    def _known(self) -> Known:
        gradient = None if self.weight.grad is None else self.canonical(self.weight.grad)
        if self.masks is None:
            return Known(gradient=gradient)
        return Known(self.canonical(self.masks.forward), self.masks.permutation, gradient)

    def permutation_of(self, phase: Phase, role: Role) -> Tensor | None:
        """The order, (G, O), in which an operand's groups hold; None: as they are."""
        operand = self.treatment.method.operand(phase, role)
        return self.masks.permutation if self.masks and operand and operand.permuted else None

    @torch.no_grad()
    def weights(self) -> tuple[Tensor, Tensor]:
        """The weights that FF and BP use."""
        seen = rounded(self.weight, self.treatment.mixed)
        if self.masks is None or self.treatment.method.mask_use is MaskUse.DECAY:
            return seen, seen
        return self._masked(seen, self.masks.forward), self._masked(seen, self.masks.backward)

    def _masked(self, seen: Tensor, mask: Tensor) -> Tensor:
        """Factors leave FP16, so their product is rounded once more."""
        return rounded(masked(seen, mask), self.treatment.mixed and mask.dtype is not torch.bool)

    def pruned(self, gradient: Tensor, channels: int) -> Tensor:
        """The output gradient that BP uses; its channels lie on axis `channels`."""
        prune = self.treatment.method.pruned_gradient
        if prune is None or self.pattern_of(Phase.BP, Role.GRADIENT).is_dense:
            return gradient
        last = gradient.movedim(channels, -1)
        grouped = last.reshape(-1, self.groups, last.shape[-1] // self.groups)
        return prune(grouped, self.pattern).reshape(last.shape).movedim(-1, channels)


@final
class MethodConvolution(MethodLayer):
    """A convolution of one to three dimensions, transposed or not, without stand-ins for zero padding."""

    def __init__(self, dense: _ConvNd, treatment: Treatment) -> None:
        super().__init__(dense, treatment, dense.groups, dense.transposed)
        assert not isinstance(dense.padding, str)
        more = dense.output_padding
        self.geometry = Geometry(dense.stride, dense.padding, dense.dilation, dense.transposed, more, dense.groups)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = Convolution.apply(  # type: ignore[no-untyped-call]
            x, self.weight, self.bias, *self.weights(), self.geometry, self.treatment.mixed, self.pruned
        )
        return result


@final
class MethodLinear(MethodLayer):
    """x W' + bias over the last axis."""

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = Linear.apply(  # type: ignore[no-untyped-call]
            x, self.weight, self.bias, *self.weights(), self.treatment.mixed, self.pruned
        )
        return result


@final
class MixedMatMul(nn.Module):
    """A product of two activations, (..., r, k) by (..., k, c), with operands rounded to FP16."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        result: Tensor = HalfMatMul.apply(left, right)  # type: ignore[no-untyped-call]
        return result


def sparsify(
    model: nn.Module, method: Method, patterns: PatternMap, kept_dense: Sequence[str] = (), mixed: bool = False
) -> list[str]:
    """Swap the layers in place and make the masks of step 0. Returns the names of the layers that became sparse.

    `kept_dense` layers stay dense unless a glob of `patterns` names them; in mixed precision they are swapped too.
    Raises UserError for a glob that names no layer, and for a layer that cannot be made sparse.
    """
    found = {name: module for name, module in model.named_modules() if isinstance(module, (*Layers, MatMul))}
    layers = [name for name, module in found.items() if isinstance(module, Layers)]
    for glob, _ in patterns.globs:
        if not any(fnmatchcase(layer, glob) for layer in layers):
            raise UserError(f"pattern '{glob}': no layer has such a name (there are {', '.join(layers)})")
    for name, module in found.items():
        pattern = patterns.of(name, name in kept_dense) if name in layers else DENSE
        model.set_submodule(name, _swapped(name, module, Treatment(method, pattern, mixed)))
    make_masks(model, step=0)
    return [name for name, layer in method_layers(model) if layer.is_sparse]


def method_layers(model: nn.Module) -> Iterator[tuple[str, MethodLayer]]:
    """The layers that `sparsify` swapped in, with their names."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, MethodLayer))


def make_masks(model: nn.Module, step: int) -> None:
    """Make the masks for a step in every layer whose method makes new ones then.

    Raises UserError, with the layer's name, for a layer or pattern that the method cannot mask.
    """
    for name, layer in method_layers(model):
        try:
            layer.make_masks(step)
        except UserError as error:
            raise UserError(f"layer '{name}': {error}") from None


@final
class InForce:
    """What is in force in a model's layers while a step is recorded."""

    def __init__(self, model: nn.Module) -> None:
        self._layers = dict(method_layers(model))

    @property
    def layers(self) -> list[str]:
        """The names of the layers that may have a pattern."""
        return list(self._layers)

    def pattern(self, layer: str, phase: Phase, role: Role) -> Pattern:
        """The pattern of one operand of a layer; dense where there is no such layer."""
        found = self._layers.get(layer)
        return found.pattern_of(phase, role) if found else DENSE

    def order(self, layer: str, phase: Phase, role: Role) -> Tensor | None:
        """The order of output channels, (G, O), in which an operand of a layer is grouped; None: as they are."""
        found = self._layers.get(layer)
        return found.permutation_of(phase, role) if found else None


def _swapped(name: str, module: nn.Module, treatment: Treatment) -> nn.Module:
    if isinstance(module, MatMul):
        return MixedMatMul() if treatment.mixed else module
    if isinstance(module, nn.Linear):
        return MethodLinear(module, treatment)
    assert isinstance(module, _ConvNd)
    if isinstance(module.padding, str) or module.padding_mode != "zeros":
        if treatment.pattern.is_dense and not treatment.mixed:
            return module
        raise UserError(f"layer '{name}': only convolutions padded with zeros, by a number, can be trained by a method")
    return MethodConvolution(module, treatment)
