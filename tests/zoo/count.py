"""Multiply-accumulates of one step, counted by torch.utils.flop_counter and by nothing of this project.

torch's formulas of a convolution are replaced by the definition that `MatrixOp.macs` states. They forget the groups in
the weight's gradient. And where a product walks over the positions that a stride spreads out (the input's gradient of a
convolution, the forward pass of a transposed one), a multiply-accumulate here is a pair of such a position and a tap
that a stride's grid lets reach it, padding included; torch counts the pairs of the other side, which are as many only
where the padding is even on both.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from math import prod

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests.zoo.entry import Inputs, step

GLOBAL = "Global"  # what the counter calls the whole step
FLOPS = 2  # a multiplication and an addition
Shape = Sequence[int]
Work = Mapping[str, int]


class Nowhere(nullcontext[None]):
    """In place of torch's account of the module that is running: it hooks gradients, which autograd.grad refuses."""

    parents = frozenset([GLOBAL])


@contextmanager
def unfused() -> Iterator[None]:
    """Attention and recurrent layers as the products they are made of, not as operators that hide them."""
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), torch.backends.mkldnn.flags(enabled=False):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was)


def counted(model: nn.Module, inputs: Inputs) -> Work:
    """Multiply-accumulates of a step by operator."""
    aten = torch.ops.aten
    return _counted(model, inputs, {aten.convolution: _forward, aten.convolution_backward: _backward})


def counted_by_torch(model: nn.Module, inputs: Inputs) -> Work:
    """The same with torch's own formulas."""
    return _counted(model, inputs, {})


def _counted(model: nn.Module, inputs: Inputs, formulas: dict[object, Callable[..., int]]) -> Work:
    counter = FlopCounterMode(display=False, custom_mapping=formulas)
    counter.mod_tracker = Nowhere()  # type: ignore[assignment]
    with unfused(), counter:
        step(model, inputs)
    return {str(operator): flops // FLOPS for operator, flops in counter.get_flop_counts()[GLOBAL].items()}


def _forward(
    data: Shape,
    weight: Shape,
    _bias: object,
    stride: Shape,
    padding: Shape,
    dilation: Shape,
    transposed: bool,
    *_: object,
    out_shape: Shape,
    **__: object,
) -> int:
    if transposed:
        return FLOPS * _spread(data[0], weight, out_shape[2:], stride, padding, dilation)
    return FLOPS * _gathered(data[0], weight, out_shape[2:])


def _backward(
    gradient: Shape,
    data: Shape,
    weight: Shape,
    _bias: object,
    stride: Shape,
    padding: Shape,
    dilation: Shape,
    transposed: bool,
    _output_padding: object,
    _groups: object,
    wanted: Sequence[bool],
    **_: object,
) -> int:
    fewer = _gathered(data[0], weight, (data if transposed else gradient)[2:])
    of_input = fewer if transposed else _spread(data[0], weight, data[2:], stride, padding, dilation)
    return FLOPS * (wanted[0] * of_input + wanted[1] * fewer)


def _gathered(images: int, weight: Shape, positions: Shape) -> int:
    """Every position of the side without a stride reads all taps of its group. weight: (O, C / groups, *kernel) or
    (C, O / groups, *kernel), so that the groups are counted in it."""
    return images * prod(positions) * prod(weight)


def _spread(images: int, weight: Shape, positions: Shape, stride: Shape, padding: Shape, dilation: Shape) -> int:
    """Every position of the side that the stride spreads out is reached by the taps of its place in the grid."""
    pairs = 1
    for axis, kernel in enumerate(weight[2:]):
        pairs *= sum(
            (position + padding[axis] - tap * dilation[axis]) % stride[axis] == 0
            for position in range(positions[axis])
            for tap in range(kernel)
        )
    return images * pairs * prod(weight[:2])
