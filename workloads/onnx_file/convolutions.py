"""Convolutions of a graph, of one to three dimensions, grouped, dilated and transposed.

The geometry of a workload pads both ends of an axis alike. A file may pad them differently, and many do: at stride 2
`SAME_UPPER` pads the end alone. Where equal padding reaches the same positions, it is taken: padding behind the last
position that a kernel reaches is never read, and a convolution from right to left is the mirror image of the same
products. Other padding is refused.
"""

from collections.abc import Sequence
from math import ceil

from workloads.conv import ConvGeometry, times
from workloads.errors import UserError
from workloads.onnx_file.draft import Draft
from workloads.onnx_file.facts import Facts
from workloads.onnx_file.graph import Node
from workloads.onnx_file.products import Work, data_of, factor
from workloads.onnx_file.vector import bias_op
from workloads.op import MatrixOp, Phase, convolution_sizes

Axes = tuple[int, ...]
DEEPEST = 3


def convolution(node: Node, layer: str, facts: Facts) -> Work:
    """The product of a convolution, and its bias behind it."""
    data, filters = node.given(0), node.given(1)
    given, weight = facts.shape(node, data), facts.shape(node, filters)
    made = facts.shape(node, node.made)
    axes = len(given) - 2
    if not 1 <= axes <= DEEPEST or len(weight) != len(given):
        raise UserError(f"{facts.path}: {node.shown} has {axes} dimensions; convolutions of 1 to {DEEPEST} are taken")
    transposed, groups = node.operator == "ConvTranspose", node.number("group", 1)
    channels = (weight[1] * groups, given[1]) if transposed else (given[1], weight[0])
    inputs, outputs = (made[2:], given[2:]) if transposed else (given[2:], made[2:])
    strides, dilations = _each(node, "strides", axes), _each(node, "dilations", axes)
    begins = _begins(node, inputs, outputs, strides, tuple(map(_reach, weight[2:], dilations)), transposed)
    paddings = []
    for axis, (size, out, begin, stride) in enumerate(zip(inputs, outputs, begins, strides, strict=True)):
        padding = equal_padding(size, out, begin, stride, _reach(weight[2 + axis], dilations[axis]))
        if padding is None:
            raise UserError(
                f"{facts.path}: {node.shown} pads the two ends of axis {axis} differently, by {begin} in front; put "
                "the padding in a Pad node before it"
            )
        paddings.append(padding)
    front = (1,) if axes == 1 else ()
    geometry = ConvGeometry(
        *channels,
        kernel=(*front, *weight[2:]),
        stride=(*front, *strides),
        padding=(*([0] * len(front)), *paddings),
        input_size=(*front, *inputs),
        dilation=(*front, *dilations),
        groups=groups,
        transposed=transposed,
    )
    op = MatrixOp(
        layer,
        Phase.FF,
        *_checked(node, facts, geometry, (*front, *outputs), given[0]),
        data_of(data, facts),
        factor(filters, facts),
        groups,
        geometry,
        given[0],
    )
    yield Draft(op, facts.learns(data, node.made), facts.learns(filters, node.made))
    if node.given(2):
        yield bias_op(node, layer, facts)


def _checked(node: Node, facts: Facts, geometry: ConvGeometry, outputs: Axes, images: int) -> tuple[int, int, int]:
    """The sizes of the product. Raises UserError where the geometry is none, or gives other outputs than the file."""
    if geometry.groups < 1 or min(geometry.stride) < 1 or min(geometry.dilation) < 1:
        raise UserError(f"{facts.path}: {node.shown}: a stride, a dilation or the number of groups is below 1")
    if wrong := geometry.fault():
        raise UserError(f"{facts.path}: {node.shown}: {wrong}")
    if geometry.output_size != outputs:
        found = f"{times(geometry.output_size)} positions where the file says {times(outputs)}"
        raise UserError(f"{facts.path}: {node.shown} gives {found}")
    return convolution_sizes(geometry, Phase.FF, images)


def _each(node: Node, name: str, axes: int) -> Axes:
    return node.lists.get(name) or (1,) * axes


def _reach(kernel: int, dilation: int) -> int:
    return dilation * (kernel - 1) + 1


def _begins(
    node: Node, inputs: Axes, outputs: Axes, strides: Sequence[int], reach: Axes, transposed: bool
) -> list[int]:
    """The padding in front of every axis of the image that the kernel moves over."""
    word = node.words.get("auto_pad", "NOTSET")
    lower = word == "SAME_LOWER"
    if word == "VALID":
        return [0] * len(inputs)
    if word in ("SAME_UPPER", "SAME_LOWER") or "output_shape" in node.lists:
        found = []
        for size, out, stride, each in zip(inputs, outputs, strides, reach, strict=True):
            last = out if transposed else ceil(size / max(stride, 1))
            both = max((last - 1) * stride + each - size, 0)
            found.append(both - both // 2 if lower else both // 2)
        return found
    return list(node.lists.get("pads", (0,) * len(inputs))[: len(inputs)])


def equal_padding(size: int, outputs: int, begin: int, stride: int, reach: int) -> int | None:
    """A padding of both ends that gives the same products; None where there is none."""
    behind = (outputs - 1) * stride + reach - size - begin  # what the last position of the kernel reaches beyond
    fitting = (
        each for each in (begin, behind) if each >= 0 and (size + 2 * each - reach) // max(stride, 1) + 1 == outputs
    )
    return next(fitting, None)
