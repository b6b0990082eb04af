"""Backend `reference`: what a step on a backend computes, in plain torch operations, so that anybody can check one.

Products add one term after the other along the reduction, as the array does: FP16 times FP16 is exact in FP32, and each
addition rounds once. torch's own matrix products add in another order (and several at once), so that they differ in
the last bits; after some steps nothing is bit equal any more. Nothing here comes from the golden models of the
hardware, which the tests hold against it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workloads.op import Optimizer, Phase
from workloads.pattern import Pattern
from workloads.training.backend import Backend, Begin, Half, Layer, Session, Single, layers_of, no_machine
from workloads.training.masks import sorted_mask
from workloads.training.updates import AdamW, Momentum, State, Update


@final
class ReferenceBackend(Backend):
    """Found as `reference`."""

    name = "reference"

    def on(self, machine: str) -> Backend:
        raise no_machine(self.name, machine)

    def begin(self, what: Begin) -> Session:
        """Raises UserError for a step with layers that no backend has."""
        return ReferenceSession(what)


@final
@dataclass(frozen=True)
class Kept:
    """The right operand of a product, what a mask keeps of it: values (kept, cols) in FP32, and the place in the
    reduction of each, (kept, cols), or (kept, 1) where all columns have the same."""

    values: Tensor
    places: Tensor


@final
class ReferenceSession(Session):
    """Not frozen: it holds weights, their states and what FF and BP keep of them."""

    def __init__(self, what: Begin) -> None:
        self._layers = layers_of(what.step)
        self._layer_of = {layer.parameter: layer for layer in self._layers.values()}
        self._optimizer = what.rule.optimizer
        self._weights = {name: torch.tensor(each) for name, each in what.weights.items()}
        self._states: dict[str, State] = {
            name: {key: torch.tensor(each) for key, each in what.states.get(name, {}).items()} for name in self._weights
        }
        self._kept: dict[tuple[str, Phase], Kept] = {}
        self._gradients: dict[str, Tensor] = {}
        for layer in self._layers.values():
            self._keep(layer)

    def forward(self, layer: str, left: Half) -> Half:
        return self._rounded(layer, Phase.FF, left)

    def input_gradient(self, layer: str, left: Half) -> Half:
        return self._rounded(layer, Phase.BP, left)

    def weight_gradient(self, layer: str, left: Half, right: Half) -> Single:
        sums = product(torch.tensor(left).mT, whole(torch.tensor(right)))
        self._gradients[self._layers[layer].parameter] = sums
        return array(sums)

    def update(self, parameter: str, gradient: Single | None, constants: Mapping[str, float]) -> None:
        given = self._gradients.pop(parameter) if gradient is None else torch.tensor(gradient)
        weight, state = self._weights[parameter], self._states[parameter]
        rule_of(self._optimizer, constants).apply(weight, given, state, int(constants.get("step", 1)))
        for each in (weight, *state.values()):
            each.copy_(one_nan(each))
        if layer := self._layer_of.get(parameter):
            self._keep(layer)

    def weight(self, parameter: str) -> Single:
        return array(self._weights[parameter])

    def states(self, parameter: str) -> Mapping[str, Single]:
        return {name: array(each) for name, each in self._states[parameter].items()}

    def figures(self) -> Mapping[str, object]:
        return {}

    def close(self) -> None:
        self._kept.clear()

    def _rounded(self, layer: str, phase: Phase, left: Half) -> Half:
        sums = product(torch.tensor(left), self._kept[layer, phase])
        result: Half = one_nan(sums.half()).numpy()
        return result

    def _keep(self, layer: Layer) -> None:
        weight = one_nan(self._weights[layer.parameter].half()).reshape(layer.taps, layer.inputs, layer.outputs)
        self._kept[layer.name, Phase.FF] = kept(weight, layer.forward_pattern)
        if layer.backward_pattern is not None:
            self._kept[layer.name, Phase.BP] = kept(weight.mT, layer.backward_pattern)


def product(left: Tensor, right: Kept) -> Tensor:
    """FP32 sums (rows, cols) of an FP16 operand (rows, inner) by what is kept of the other, in the array's order."""
    wide = left.float()
    sums = torch.zeros(len(left), right.values.shape[1])
    for values, places in zip(right.values, right.places, strict=True):
        sums += wide[:, places] * values
    return one_nan(sums)


def kept(weight: Tensor, pattern: Pattern) -> Kept:
    """What a pattern keeps of a right operand, (taps, length, cols) in FP16, whose groups lie along its middle axis."""
    if pattern.is_dense:
        return whole(weight.flatten(0, 1))
    mask = sorted_mask(weight, pattern.n, pattern.m, 1).flatten(0, 1)
    places = mask.mT.nonzero()[:, 1].reshape(mask.shape[1], -1).mT
    return Kept(weight.flatten(0, 1).gather(0, places).float(), places)


def whole(right: Tensor) -> Kept:
    """A right operand, (inner, cols) in FP16, of which all is kept."""
    return Kept(right.float(), torch.arange(len(right)).unsqueeze(1))


def rule_of(optimizer: Optimizer, constants: Mapping[str, float]) -> Update:
    """The update with the constants of a step."""
    rate, decay = constants["learning_rate"], constants["weight_decay"]
    if optimizer is Optimizer.MOMENTUM:
        return Momentum(rate, decay, constants["momentum"])
    return AdamW(rate, decay, *(constants[name] for name in ("beta1", "beta2", "epsilon")))


def one_nan(values: Tensor) -> Tensor:
    """With every NaN the one that the hardware makes: positive and quiet."""
    return values.masked_fill(values.isnan(), torch.nan)


def array(values: Tensor) -> Single:
    """A copy in numpy."""
    found: NDArray[np.float32] = values.numpy().copy()
    return found
