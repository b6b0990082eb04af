"""Matrix products of a step, read off torch's operators: sizes, operands and what they are in the step.

A product whose right-hand side is a parameter is a layer's; backward, the product with the parameter is the gradient of
the input and the one with the layer's input that of the weight. Two activations multiplied (attention) are `count`
products, and both their gradients are BP.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from torch import Tensor

from workloads.conv import ConvGeometry
from workloads.errors import UserError
from workloads.op import MatrixOp, Operand, Phase, Role
from workloads.training.operators import PRODUCTS, Call
from workloads.training.tensor_names import Key, TensorNames


@final
@dataclass(frozen=True)
class Product:
    """One recorded product with the tensors that went in: `left` and `right` are those of `op`."""

    op: MatrixOp
    left: Tensor
    right: Tensor
    weight: str | None  # the parameter's name
    left_key: Key
    right_key: Key


@final
@dataclass(frozen=True)
class Multiplied:
    """What is remembered of an FF product: its tensors' keys; their memory is given back to the step."""

    layer: str
    weight: str | None
    keys: tuple[Key, Key]


def is_product(call: Call) -> bool:
    return call.name in PRODUCTS


def forward_product(call: Call, layer: str, names: TensorNames) -> Product:
    """The FF product of one call. Raises UserError for a convolution that has no geometry here."""
    if call.name == "convolution":
        return _forward_convolution(call, layer, names)
    left, right = _factors(call)
    if names.parameter(left) and not names.parameter(right):
        left, right = right.mT, left.mT
    weight = names.parameter(right)
    wanted = (f"{layer}.input", f"{layer}.weight") if weight else (f"{layer}.left", f"{layer}.right")
    role = Role.WEIGHT if weight else Role.ACTIVATION
    a = Operand(names.name(left, wanted[0]), Role.ACTIVATION)
    b = Operand(weight or names.name(right, wanted[1]), role)
    return _product(_matmul(layer, Phase.FF, left, right, a, b), left, right, weight, names)


def backward_products(call: Call, layer: str, names: TensorNames, forward: Sequence[Multiplied]) -> list[Product]:
    """The BP and WU products of one call; `forward` are the FF products of the layer it belongs to."""
    if call.name == "convolution_backward":
        return _backward_convolution(call, layer, names, forward)
    left, right = _factors(call)
    keys = {key for product in forward for key in product.keys}
    weight = names.parameter(left) or names.parameter(right)
    if weight:
        gradient, other = (right.mT, left.mT) if names.parameter(left) else (left, right)
        a = Operand(names.name(gradient, f"{layer}.grad_output"), Role.GRADIENT)
        b = Operand(weight, Role.WEIGHT)
        return [_product(_matmul(layer, Phase.BP, gradient, other, a, b), gradient, other, weight, names)]
    of_weight = next((product.weight for product in forward if product.weight), None)
    left_is_input = names.key(left) in keys or names.is_made_again(left)
    if of_weight:
        data, gradient = (left, right) if left_is_input else (right.mT, left.mT)
        a = Operand(names.name(data, f"{layer}.input"), Role.ACTIVATION)
        b = Operand(names.name(gradient, f"{layer}.grad_output"), Role.GRADIENT)
        return [_product(_matmul(layer, Phase.WU, data, gradient, a, b), data, gradient, of_weight, names)]
    gradient, data = (right.mT, left.mT) if left_is_input else (left, right)
    a = Operand(names.name(gradient, f"{layer}.grad_output"), Role.GRADIENT)
    b = Operand(names.name(data, f"{layer}.right"), Role.ACTIVATION)
    return [_product(_matmul(layer, Phase.BP, gradient, data, a, b), gradient, data, None, names)]


def _factors(call: Call) -> tuple[Tensor, Tensor]:
    left, right = call.inputs[-2:]
    return left, right


def _matmul(layer: str, phase: Phase, left: Tensor, right: Tensor, a: Operand, b: Operand) -> MatrixOp:
    count = left.shape[0] if left.dim() == 3 else 1
    return MatrixOp(layer, phase, left.shape[-2], left.shape[-1], right.shape[-1], a, b, count)


def _product(op: MatrixOp, left: Tensor, right: Tensor, weight: str | None, names: TensorNames) -> Product:
    return Product(op, left, right, weight, names.key(left), names.key(right))


def _forward_convolution(call: Call, layer: str, names: TensorNames) -> Product:
    data, weight = call.args[0], call.args[1]
    assert isinstance(data, Tensor) and isinstance(weight, Tensor)
    geometry = convolution_geometry(data, weight, call.args[3:9], layer)
    groups, images = geometry.groups, data.shape[0]
    name = names.parameter(weight)
    a = Operand(names.name(data, f"{layer}.input"), Role.ACTIVATION)
    b = Operand(name or names.name(weight, f"{layer}.weight"), Role.WEIGHT if name else Role.ACTIVATION)
    op = MatrixOp(
        layer,
        Phase.FF,
        rows=images * geometry.output_positions,
        inner=geometry.taps * (geometry.in_channels // groups),
        cols=geometry.out_channels // groups,
        left=a,
        right=b,
        count=groups,
        geometry=geometry,
        images=images,
    )
    return _product(op, data, weight, name, names)


def _backward_convolution(call: Call, layer: str, names: TensorNames, forward: Sequence[Multiplied]) -> list[Product]:
    gradient, data, weight = (tensor for tensor in call.args[:3] if isinstance(tensor, Tensor))
    geometry = convolution_geometry(data, weight, call.args[4:10], layer)
    wanted = call.args[10]
    assert isinstance(wanted, (list, tuple))
    name = names.parameter(weight) or next((product.weight for product in forward if product.weight), None)
    outgoing = Operand(names.name(gradient, f"{layer}.grad_output"), Role.GRADIENT)
    inside, outside = geometry.in_channels // geometry.groups, geometry.out_channels // geometry.groups
    images = data.shape[0]
    products = []
    if wanted[0]:
        right = Operand(name or names.name(weight, f"{layer}.weight"), Role.WEIGHT if name else Role.ACTIVATION)
        sizes = (images * geometry.input_positions, geometry.taps * outside, inside)
        op = MatrixOp(layer, Phase.BP, *sizes, outgoing, right, geometry.groups, geometry, images)
        products.append(_product(op, gradient, weight, name, names))
    if wanted[1]:
        left = Operand(names.name(data, f"{layer}.input"), Role.ACTIVATION)
        sizes = (geometry.taps * inside, images * geometry.output_positions, outside)
        op = MatrixOp(layer, Phase.WU, *sizes, left, outgoing, geometry.groups, geometry, images)
        products.append(_product(op, data, gradient, name, names))
    return products


def convolution_geometry(data: Tensor, weight: Tensor, rest: object, layer: str) -> ConvGeometry:
    """The geometry of a convolution of `data` (B, C, *hw) by `weight` (O, C/groups, *kernel).

    `rest` is (stride, padding, dilation, transposed, output padding, groups) as torch passes them. Raises UserError
    for transposed convolutions and those of more than two dimensions.
    """
    assert isinstance(rest, (list, tuple))
    stride, padding, dilation, transposed, _, groups = rest
    if transposed or data.dim() > 4:
        what = "a transposed convolution" if transposed else f"a convolution of {data.dim() - 2} dimensions"
        raise UserError(f"layer '{layer}': {what} is not supported; allowed are convolutions of one or two dimensions")
    flat = data.dim() == 3
    return ConvGeometry(
        in_channels=data.shape[1],
        out_channels=weight.shape[0],
        kernel=_pair(weight.shape[2:], 1, flat),
        stride=_pair(stride, 1, flat),
        padding=_pair(padding, 0, flat),
        input_hw=_pair(data.shape[2:], 1, flat),
        dilation=_pair(dilation, 1, flat),
        groups=int(groups),
    )


def _pair(values: object, missing: int, flat: bool) -> tuple[int, int]:
    """Two sizes: one of a flat (1-D) convolution gets `missing` as its height."""
    assert isinstance(values, (list, tuple))
    sizes = [int(value) for value in values]
    if flat:
        return missing, sizes[0]
    return sizes[0], sizes[-1]
