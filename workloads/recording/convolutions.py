"""Convolutions as matrix products: of one to three dimensions, grouped, and transposed."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from workloads.conv import ConvGeometry
from workloads.op import MatrixOp, Operand, Phase, Role, convolution_sizes
from workloads.recording.calls import Call
from workloads.recording.factors import check_formats
from workloads.recording.products import Multiplied, Product
from workloads.recording.tensor_names import TensorNames


def forward_convolution(call: Call, layer: str, names: TensorNames, again: bool = False) -> Product:
    """The FF product of one call of `convolution`.

    again: it is the gradient of a gradient, a product of the backward pass whose operands are no layer's own; it is
    recorded without the geometry, which would call it forward work.
    """
    data, weight = call.args[0], call.args[1]
    assert isinstance(data, Tensor) and isinstance(weight, Tensor)
    geometry, name = convolution_geometry(data, weight, call.args[3:9], layer), names.parameter(weight)
    a = Operand(names.name(data, f"{layer}.input"), Role.ACTIVATION)
    b = Operand(name or names.name(weight, f"{layer}.weight"), Role.WEIGHT if name else Role.ACTIVATION)
    made = _product(geometry, layer, Phase.FF, (data, a), (weight, b), data.shape[0], name, names)
    return replace(made, op=replace(made.op, phase=Phase.BP, geometry=None, images=1)) if again else made


def backward_convolution(call: Call, layer: str, names: TensorNames, forward: Sequence[Multiplied]) -> list[Product]:
    """The BP and WU products of one call of `convolution_backward`, as far as their results are wanted."""
    gradient, data, weight = (tensor for tensor in call.args[:3] if isinstance(tensor, Tensor))
    geometry, images = convolution_geometry(data, weight, call.args[4:10], layer), data.shape[0]
    wanted = call.args[10]
    assert isinstance(wanted, (list, tuple))
    name = names.parameter(weight) or next((product.weight for product in forward if product.weight), None)
    outgoing = Operand(names.name(gradient, f"{layer}.grad_output"), Role.GRADIENT)
    products = []
    if wanted[0]:
        b = Operand(name or names.name(weight, f"{layer}.weight"), Role.WEIGHT if name else Role.ACTIVATION)
        products.append(_product(geometry, layer, Phase.BP, (gradient, outgoing), (weight, b), images, name, names))
    if wanted[1]:
        a = Operand(names.name(data, f"{layer}.input"), Role.ACTIVATION)
        sides = ((data, a), (gradient, outgoing))
        left, right = reversed(sides) if geometry.transposed else sides
        products.append(_product(geometry, layer, Phase.WU, left, right, images, name, names))
    return products


Side = tuple[Tensor, Operand]


def _product(
    geometry: ConvGeometry,
    layer: str,
    phase: Phase,
    left: Side,
    right: Side,
    images: int,
    weight: str | None,
    names: TensorNames,
) -> Product:
    sizes = convolution_sizes(geometry, phase, images)
    op = MatrixOp(layer, phase, *sizes, left[1], right[1], geometry.groups, geometry, images)
    return Product(op, left[0], right[0], weight, names.key(left[0]), names.key(right[0]))


def convolution_geometry(data: Tensor, weight: Tensor, rest: object, layer: str) -> ConvGeometry:
    """The geometry of a convolution of `data` (B, C, *size) by `weight`: (O, C/groups, *kernel), or transposed
    (C, O/groups, *kernel).

    `rest` is (stride, padding, dilation, transposed, output padding, groups) as torch passes them. Raises UserError
    for operands of two number formats.
    """
    assert isinstance(rest, (list, tuple))
    stride, padding, dilation, transposed, more, groups = rest
    check_formats(data, weight, layer)
    axes = data.dim() - 2
    sizes = tuple(int(size) for size in data.shape[2:])
    kernel = tuple(int(size) for size in weight.shape[2:])
    strides, paddings, dilations, mores = (_each(values, axes) for values in (stride, padding, dilation, more))
    channels = int(data.shape[1]), int(weight.shape[0])
    if transposed:  # the convolution goes from this layer's output to its input
        channels = int(weight.shape[1] * groups), int(data.shape[1])
        sizes = tuple(
            (size - 1) * s - 2 * p + d * (k - 1) + 1 + m
            for size, s, p, d, k, m in zip(sizes, strides, paddings, dilations, kernel, mores, strict=True)
        )
    flat = axes == 1
    return ConvGeometry(
        *channels,
        kernel=(1, *kernel) if flat else kernel,
        stride=(1, *strides) if flat else strides,
        padding=(0, *paddings) if flat else paddings,
        input_size=(1, *sizes) if flat else sizes,
        dilation=(1, *dilations) if flat else dilations,
        groups=int(groups),
        transposed=bool(transposed),
    )


def _each(values: object, axes: int) -> tuple[int, ...]:
    """One size for every axis; torch may pass one for all of them."""
    assert isinstance(values, (list, tuple))
    sizes = tuple(int(value) for value in values)
    return sizes * axes if len(sizes) == 1 else sizes
