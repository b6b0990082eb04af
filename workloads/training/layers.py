"""Layers as a method trains them: FF, BP and WU of one layer may each use other operands.

    FF  Y  = X (W * forward mask)        BP  dX = (pruned dY) (W * backward mask)        WU  dW = X' dY, dense

In mixed precision every operand is rounded to FP16 and multiplied and added in FP32: FP16 x FP16 is exact there, so
this is what hardware with FP16 inputs and FP32 accumulators computes, up to the order of additions. Masks then rank the
rounded weights.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn

from workloads.methods.base import Known, MaskUse, Method
from workloads.op import Phase, Role
from workloads.pattern import DENSE, Pattern
from workloads.training.functions import Geometry, convolution, linear, matmul, rounded


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


class MethodLayer(nn.Module, ABC):
    """A layer with a weight that a method may mask. It shares the parameters of the layer it stands for."""

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, weight: Tensor, bias: Tensor | None, treatment: Treatment) -> None:
        super().__init__()
        self.register_parameter("weight", _parameter(weight))
        self.register_parameter("bias", None if bias is None else _parameter(bias))
        self.treatment = treatment
        self.pattern = DENSE  # the one in force
        self.masks: Masks | None = None

    @property
    @abstractmethod
    def groups(self) -> int:
        """Convolution groups; 1 for a linear layer."""

    def canonical(self, weight: Tensor) -> Tensor:
        """A tensor of the weight's shape as (G, O, C, T)."""
        return weight.reshape(self.groups, weight.shape[0] // self.groups, weight.shape[1], -1)

    def pattern_of(self, phase: Phase, role: Role) -> Pattern:
        """The pattern in force of one operand."""
        return self.pattern if self.treatment.method.operand(phase, role) else DENSE

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
        self.masks = Masks(forward.reshape(self.weight.shape), backward.reshape(self.weight.shape), order)

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


def _parameter(tensor: Tensor) -> nn.Parameter:
    assert isinstance(tensor, nn.Parameter)
    return tensor


@final
class MethodConvolution(MethodLayer):
    """A convolution of one or two dimensions, without stand-ins for zero padding."""

    def __init__(self, dense: nn.Conv1d | nn.Conv2d, treatment: Treatment) -> None:
        super().__init__(dense.weight, dense.bias, treatment)
        nothing = [0] * len(dense.stride)
        assert not isinstance(dense.padding, str)
        self.geometry = Geometry(dense.stride, dense.padding, dense.dilation, False, nothing, dense.groups)

    @property
    def groups(self) -> int:
        return self.geometry.groups

    def forward(self, x: Tensor) -> Tensor:
        ahead, back = self.weights()
        return convolution(x, self.weight, self.bias, ahead, back, self.geometry, self.treatment.mixed, self.pruned)


@final
class MethodLinear(MethodLayer):
    """x W' + bias over the last axis."""

    def __init__(self, dense: nn.Linear, treatment: Treatment) -> None:
        super().__init__(dense.weight, dense.bias, treatment)

    @property
    def groups(self) -> int:
        return 1

    def forward(self, x: Tensor) -> Tensor:
        ahead, back = self.weights()
        return linear(x, self.weight, self.bias, ahead, back, self.treatment.mixed, self.pruned)


@final
class MixedMatMul(nn.Module):
    """A product of two activations, (..., r, k) by (..., k, c), with operands rounded to FP16."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return matmul(left, right)
