"""Vector work of the operators that torch ran.

Reads and writes are in elements, as an implementation would move them that fuses nothing and keeps nothing on chip.
Statistics need a pass of their own: normalisation and softmax read their input twice, and backward their input and the
gradient twice each. A gather reads what it writes.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from workloads.op import Phase, VectorKind, VectorOp
from workloads.recording.calls import Call
from workloads.recording.operators import kind_of

SMALLEST = 2  # a scalar is no vector work: losses, scales, counters
TWO_PASSES = (VectorKind.NORMALISATION, VectorKind.SOFTMAX)
TWICE = ("_log_softmax", "_log_softmax_backward_data")


def is_work(call: Call) -> bool:
    """False for whatever only touches scalars."""
    return max((tensor.numel() for tensor in call.inputs + call.outputs), default=0) >= SMALLEST


def vector_op(call: Call, layer: str, phase: Phase, again: bool) -> VectorOp:
    """The vector op of one call."""
    kind = kind_of(call.func)
    if call.name == "mean" and call.inputs[0].dim() == 4:
        kind = VectorKind.POOLING
    reads, writes = _traffic(call, kind)
    elements = max(tensor.numel() for tensor in call.inputs + call.outputs)
    if call.name in ("_cdist_forward", "_cdist_backward"):  # every pair of rows, along all columns
        elements = _pairs(call)
    if kind is VectorKind.EMBEDDING:
        elements = reads
    return VectorOp(layer, phase, kind, elements, reads, writes, again=again)


def _traffic(call: Call, kind: VectorKind) -> tuple[int, int]:
    """(reads, writes) of one call, in elements."""
    inputs, outputs = call.inputs, call.outputs
    match call.name:
        case "embedding" | "index_select" | "gather" | "index":
            reads, writes = outputs[:1], outputs[:1]
        case "_embedding_bag" | "_embedding_bag_forward_only":
            return inputs[1].numel() * inputs[0].shape[1], _stored(outputs[:1])
        case "embedding_dense_backward" | "_embedding_bag_dense_backward":
            reads, writes = inputs[:1], outputs
        case "nll_loss_forward":
            reads, writes = inputs[1:2] * 2, []  # the targets and what each picks
        case "nll_loss_backward":
            reads, writes = inputs[2:3], outputs
        case "max_pool2d_with_indices" | "max_pool3d_with_indices":
            reads, writes = inputs, outputs
        case "max_pool2d_with_indices_backward" | "max_pool3d_with_indices_backward":
            reads, writes = [inputs[0], inputs[-1]], outputs
        case name:
            passes = 2 if kind in TWO_PASSES or name in TWICE else 1
            reads, writes = (_data(inputs) * passes if passes > 1 else inputs), outputs[:1]
    return _stored(reads), _stored(writes)


def _pairs(call: Call) -> int:
    rows, others = call.inputs[-2:] if call.name == "_cdist_forward" else call.inputs[1:3]
    return math.prod(rows.shape[:-1]) * others.shape[-2] * rows.shape[-1]


def bias_op(result: Tensor, layer: str, again: bool) -> VectorOp:
    """Adding the bias to a product's result, where torch does it inside the product."""
    size = result.numel()
    return VectorOp(layer, Phase.FF, VectorKind.ELEMENTWISE, size, size, size, again=again)


def bias_gradient_op(gradient: Tensor, channels: int, layer: str) -> VectorOp:
    """Summing the output gradient over all positions, for the bias."""
    size = gradient.numel()
    return VectorOp(layer, Phase.BP, VectorKind.ELEMENTWISE, size, size, channels)


def _data(inputs: Sequence[Tensor]) -> list[Tensor]:
    """The floating-point inputs as large as the largest: the data, without statistics and parameters."""
    floats = [tensor for tensor in inputs if tensor.dtype.is_floating_point]
    largest = max((tensor.numel() for tensor in floats), default=0)
    return [tensor for tensor in floats if tensor.numel() == largest]


def _stored(tensors: Sequence[Tensor]) -> int:
    """Elements of the tensors: a broadcast axis counts once, and a scalar, which stays in a register, not at all."""
    return sum(size for size in map(_distinct, tensors) if size >= SMALLEST)


def _distinct(tensor: Tensor) -> int:
    if tensor.layout is not torch.strided:
        return int(tensor._nnz())
    axes = zip(tensor.shape, tensor.stride(), strict=True)
    return math.prod(extent for extent, stride in axes if stride or extent == 0)
