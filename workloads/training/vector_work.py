"""Vector work of a step, read off the operators that torch runs.

Reads and writes are in elements, as an implementation would move them that fuses nothing and keeps nothing on chip.
Statistics need a pass of their own: normalisation and softmax read their input twice, and backward their input and the
gradient twice each. A gather reads what it writes. Views, copies, concatenations, changes of number format and fills
are no work.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor
from torch._ops import OpOverload

from workloads.op import Phase, VectorKind, VectorOp

SMALLEST = 2  # a scalar is no vector work: losses, scales, counters

COPIES = ("_to_copy", "clone", "copy", "copy_", "lift_fresh", "lift_fresh_copy", "contiguous", "alias_copy")
NO_WORK = (
    *("detach", "_unsafe_view", "resize_", "set_", "_local_scalar_dense", "is_same_size"),
    *("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "arange", "scalar_tensor"),
    *("zeros", "zeros_like", "new_zeros", "ones", "ones_like", "new_ones", "full", "full_like", "new_full"),
    *("fill_", "zero_", "randn", "rand", "randint", "cat", "stack", "select_backward", "slice_backward"),
)

KINDS: tuple[tuple[str, VectorKind], ...] = (
    ("batch_norm", VectorKind.NORMALISATION),
    ("layer_norm", VectorKind.NORMALISATION),
    ("group_norm", VectorKind.NORMALISATION),
    ("rms_norm", VectorKind.NORMALISATION),
    ("log_softmax", VectorKind.LOSS),
    ("nll_loss", VectorKind.LOSS),
    ("mse_loss", VectorKind.LOSS),
    ("softmax", VectorKind.SOFTMAX),
    ("threshold_backward", VectorKind.ACTIVATION),
    ("relu", VectorKind.ACTIVATION),
    ("gelu", VectorKind.ACTIVATION),
    ("silu", VectorKind.ACTIVATION),
    ("tanh", VectorKind.ACTIVATION),
    ("sigmoid", VectorKind.ACTIVATION),
    ("pool", VectorKind.POOLING),
    ("embedding", VectorKind.EMBEDDING),
    ("group_mask", VectorKind.MASK),
    ("sort", VectorKind.MASK),
    ("scatter", VectorKind.MASK),
)
TWO_PASSES = ("norm", "softmax")


@final
@dataclass(frozen=True)
class Call:
    """One operator that ran: its name without namespace and overload, what went in and what came out."""

    func: OpOverload
    args: Sequence[object]
    result: object

    @cached_property
    def name(self) -> str:
        return str(self.func.overloadpacket.__name__)

    @cached_property
    def inputs(self) -> list[Tensor]:
        return tensors_in(self.args)

    @cached_property
    def outputs(self) -> list[Tensor]:
        return tensors_in([self.result])


def tensors_in(values: Sequence[object]) -> list[Tensor]:
    """The tensors among values, lists of tensors included."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found.extend(tensors_in(value))
    return found


def is_copy(call: Call) -> bool:
    return call.name in COPIES


def is_work(call: Call) -> bool:
    """False for views, copies, fills and whatever only touches scalars."""
    if call.func.is_view or call.name in NO_WORK or is_copy(call):
        return False
    return max((tensor.numel() for tensor in call.inputs + call.outputs), default=0) >= SMALLEST


def kind_of(name: str) -> VectorKind:
    """The kind of an operator; what nobody knows is done element by element."""
    return next((kind for part, kind in KINDS if part in name), VectorKind.ELEMENTWISE)


def vector_op(call: Call, layer: str, phase: Phase) -> VectorOp:
    """The vector op of one call."""
    kind = kind_of(call.name)
    if call.name == "mean" and call.inputs[0].dim() == 4:
        kind = VectorKind.POOLING
    reads, writes = _traffic(call)
    elements = max(tensor.numel() for tensor in call.inputs + call.outputs)
    return VectorOp(layer, phase, kind, reads if kind is VectorKind.EMBEDDING else elements, reads, writes)


def _traffic(call: Call) -> tuple[int, int]:
    """(reads, writes) of one call, in elements."""
    inputs, outputs = call.inputs, call.outputs
    special = {
        "embedding": (outputs, outputs),
        "embedding_dense_backward": (inputs[:1], outputs),
        "nll_loss_forward": (inputs[1:2] * 2, []),  # the targets and what each picks
        "nll_loss_backward": (inputs[2:3], outputs),
        "max_pool2d_with_indices": (inputs, outputs),
        "max_pool2d_with_indices_backward": ([inputs[0], inputs[-1]], outputs),
    }
    passes = 2 if any(part in call.name for part in TWO_PASSES) else 1
    default = (_data(inputs) * passes if passes > 1 else inputs, outputs[:1])
    reads, writes = special.get(call.name, default)
    return _stored(reads), _stored(writes)


def bias_op(result: Tensor, layer: str) -> VectorOp:
    """Adding the bias to a product's result, where torch does it inside the product."""
    size = result.numel()
    return VectorOp(layer, Phase.FF, VectorKind.ELEMENTWISE, size, size, size)


def bias_gradient_op(gradient: Tensor, channels: int, layer: str) -> VectorOp:
    """Summing the output gradient over all positions, for the bias."""
    size = gradient.numel()
    return VectorOp(layer, Phase.BP, VectorKind.ELEMENTWISE, size, size, channels)


def merged(ops: Sequence[VectorOp]) -> list[VectorOp]:
    """The same work with neighbours of one layer, phase and kind made one op."""
    result: list[VectorOp] = []
    for op in ops:
        last = result[-1] if result else None
        if last and (last.layer, last.phase, last.kind) == (op.layer, op.phase, op.kind):
            sums = (last.elements + op.elements, last.reads + op.reads, last.writes + op.writes)
            result[-1] = VectorOp(op.layer, op.phase, op.kind, *sums)
        else:
            result.append(op)
    return result


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
    size = 1
    for extent, stride in zip(tensor.shape, tensor.stride(), strict=True):
        size *= extent if stride or extent == 0 else 1
    return size
