"""Backend `golden`: a training on the golden models of array, SORE and WUVE, bit for bit what the hardware gives.

It is the referee of every backend that is hardware, and takes any number of rows.
"""

from collections import Counter
from collections.abc import Mapping
from typing import final

import numpy as np
from numpy.typing import NDArray

from rtl.formats import FP16, FP32, Bits, Packed, decode, encode
from rtl.golden.products import sparse_product
from rtl.golden.units import narrow, updated
from rtl.lanes import UpdateParameters, constants
from workloads.masks import largest
from workloads.op import Phase
from workloads.pattern import Pattern
from workloads.training.backend import OPS, Backend, Begin, Half, Layer, Session, Single, layers_of, no_machine


@final
class GoldenBackend(Backend):
    """Found as `golden`."""

    name = "golden"

    def on(self, machine: str) -> Backend:
        raise no_machine(self.name, machine)

    def begin(self, what: Begin) -> Session:
        """Raises UserError for a step with layers that no backend has, and for an optimizer that WUVE has not."""
        return GoldenSession(what)


@final
class GoldenSession(Session):
    """Not frozen: it holds weights, their states and their copies for FF and BP."""

    def __init__(self, what: Begin) -> None:
        self._layers = layers_of(what.step)
        self._layer_of = {layer.parameter: layer for layer in self._layers.values()}
        self._lane = UpdateParameters(what.rule.optimizer.value)
        self._weights = {name: bits_of(each) for name, each in what.weights.items()}
        self._states = {name: self._begun(each, what.states.get(name, {})) for name, each in self._weights.items()}
        self._copies: dict[tuple[str, Phase], Packed] = {}
        self._gradients: dict[str, Bits] = {}
        self._done = Counter[tuple[str, Phase]]()
        for layer in self._layers.values():
            self._pack(layer, narrow(self._weights[layer.parameter], FP16))

    def _begun(self, weight: Bits, states: Mapping[str, Single]) -> dict[str, Bits]:
        return {
            name: bits_of(states[name]) if name in states else np.zeros(weight.shape, np.uint32)
            for name in self._lane.state
        }

    def forward(self, layer: str, left: Half) -> Half:
        return self._rounded(layer, Phase.FF, left)

    def input_gradient(self, layer: str, left: Half) -> Half:
        return self._rounded(layer, Phase.BP, left)

    def weight_gradient(self, layer: str, left: Half, right: Half) -> Single:
        self._done[layer, Phase.WU] += 1
        sums = sparse_product(half_bits(left).T, whole(half_bits(right)), FP16)
        self._gradients[self._layers[layer].parameter] = sums
        return singles(sums)

    def update(self, parameter: str, gradient: Single | None, constants_: Mapping[str, float]) -> None:
        given = self._gradients.pop(parameter) if gradient is None else bits_of(gradient)
        fields = {"weight": self._weights[parameter], "gradient": given, **self._states[parameter]}
        made = updated(self._lane, fields, constants(self._lane.optimizer, constants_))
        self._weights[parameter] = made["weight"]
        self._states[parameter] = {name: made[name] for name in self._lane.state}
        layer = self._layer_of.get(parameter)
        self._done[layer.name if layer else parameter, Phase.UP] += 1
        if layer:
            self._pack(layer, made["operand"])

    def weight(self, parameter: str) -> Single:
        return singles(self._weights[parameter])

    def states(self, parameter: str) -> Mapping[str, Single]:
        return {name: singles(each) for name, each in self._states[parameter].items()}

    def copies(self, layer: str, phase: Phase) -> Packed:
        """What the products of a phase see of a layer's weight."""
        return self._copies[layer, phase]

    def operand(self, layer: str, phase: Phase) -> Bits:
        """The whole of it, rounded to FP16, as the right operand of the phase."""
        of = self._layers[layer]
        found = narrow(self._weights[of.parameter], FP16)
        return found if phase is Phase.FF else turned(found, of)

    def figures(self) -> Mapping[str, object]:
        rows = [{"layer": layer, "phase": phase.value, "calls": calls} for (layer, phase), calls in self._done.items()]
        return {OPS: rows}

    def close(self) -> None:
        self._copies.clear()

    def _rounded(self, layer: str, phase: Phase, left: Half) -> Half:
        self._done[layer, phase] += 1
        sums = sparse_product(half_bits(left), self._copies[layer, phase], FP16)
        return narrow(sums, FP16).astype(np.uint16).view(np.float16)

    def _pack(self, layer: Layer, operand: Bits) -> None:
        """The copies that the products see, of the weights rounded to FP16: (taps * in, out)."""
        self._copies[layer.name, Phase.FF] = kept(operand, layer.forward_pattern, layer.taps)
        if layer.backward_pattern is not None:
            self._copies[layer.name, Phase.BP] = kept(turned(operand, layer), layer.backward_pattern, layer.taps)


def turned(operand: Bits, layer: Layer) -> Bits:
    """The weight as the right operand of BP: (taps * out, in)."""
    found = operand.reshape(layer.taps, layer.inputs, layer.outputs).transpose(0, 2, 1)
    return found.reshape(layer.taps * layer.outputs, layer.inputs)


def kept(right: Bits, pattern: Pattern, taps: int) -> Packed:
    """The right operand of a product as SORE packs it: (inner, cols) bit patterns, groups along the inner axis.

    A group keeps as many as it may, zeros too, so every column has as many values.
    """
    if pattern.is_dense:
        return whole(right)
    inner, cols = right.shape
    length = inner // taps
    halves = np.ascontiguousarray(right.astype(np.uint16).view(np.float16)).reshape(taps, length, cols)
    mask = largest(halves, pattern.n, pattern.m, 1).reshape(inner, cols)
    positions = np.nonzero(mask.T)[1].reshape(cols, -1).T.astype(np.int64)
    return Packed(np.take_along_axis(right, positions, 0), np.ascontiguousarray(positions))


def whole(right: Bits) -> Packed:
    """A dense right operand, every element in its place."""
    positions: NDArray[np.int64] = np.broadcast_to(np.arange(len(right))[:, None], right.shape)
    return Packed(right, np.ascontiguousarray(positions))


def half_bits(values: Half) -> Bits:
    """Bit patterns of FP16 values, NaNs canonical, as the way into the array has them."""
    return encode(values.astype(np.float32), FP16)


def bits_of(values: Single) -> Bits:
    return encode(values, FP32)


def singles(bits: Bits) -> Single:
    return np.asarray(decode(bits, FP32), np.float32)
