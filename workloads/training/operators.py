"""Operators that torch runs: which are vector work, and which cannot be recorded, in a sentence each.

Reads and writes are in elements, as an implementation would move them that fuses nothing and keeps nothing on chip.
Statistics need a pass of their own: normalisation and softmax read their input twice, and backward their input and the
gradient twice each. A gather reads what it writes. Views, copies, concatenations, changes of number format and fills
are no work.

Refused are operators that hide products inside, and tensors that hide their values. Layers that other tools made sparse
are recorded as they are where plain tensors with zeros in them are used: under torch.ao.pruning, torch.nn.utils.prune,
torchao's Wanda, supermasks and fake sparsity, and whatever else multiplies a weight by a mask. Weights in a packed,
compressed or quantised form are refused.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import final

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.parameter import is_lazy

from workloads.errors import UserError
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
PRODUCTS = ("mm", "bmm", "addmm", "baddbmm", "convolution", "convolution_backward")
OWN = ("aten", "sparsehil")  # namespaces whose operators are known
OPAQUE = ("scaled_dot_product", "rnn_layer", "_trilinear", "_embedding_bag", "_thnn", "_lstm", "sparse_semi_structured")
WORDS = ("mm", "bmm", "addbmm", "sspaddmm", "mv", "addmv", "dot", "vdot", "linear", "matmul", "gemm")
PLAIN = (Tensor, nn.Parameter, FakeTensor)


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


@cache
def is_opaque(name: str) -> bool:
    """Whether an operator that is not one of PRODUCTS multiplies inside, by its name."""
    words = name.split("_")
    known = any(word in WORDS or word.startswith("conv") for word in words)
    return name not in PRODUCTS and (known or any(part in name for part in OPAQUE))


def refuse_opaque(call: Call, layer: str) -> None:
    """Raises UserError for an operator that hides products inside, or that may."""
    if is_opaque(call.name):
        raise UserError(
            f"layer '{layer}': torch runs it as '{call.name}', whose products cannot be recorded one by one; "
            "write it with linear, conv and matmul, or under sdpa_kernel(SDPBackend.MATH)"
        )
    if call.func.namespace not in OWN and sum(each.dim() >= 2 for each in call.inputs) > 1:
        raise UserError(
            f"layer '{layer}': runs '{call.func.namespace}::{call.name}', an operator of another library that takes "
            "several matrices; whether it multiplies them cannot be seen, so write it with torch's own operators"
        )


def refuse_hidden(tensor: Tensor, layer: str) -> None:
    """Raises UserError for a factor of a product that is no plain tensor."""
    if type(tensor) in PLAIN and tensor.layout is torch.strided and not tensor.is_quantized:
        return
    if what := _hidden(tensor):
        raise UserError(
            f"layer '{layer}': multiplies by {what}, which hides its zeros; only products of plain tensors are recorded"
        )


def refuse_hidden_parameters(model: nn.Module) -> None:
    """Raises UserError for a parameter that another library keeps in a form of its own."""
    for name, parameter in model.named_parameters():
        what = _hidden(parameter) or (_kind(parameter) if _stands_in(parameter) else None)
        if what:
            layer, _, own = name.rpartition(".")
            raise UserError(
                f"layer '{layer or 'model'}': its {own} is {what}, which hides its values; give it a plain tensor with "
                "the zeros in it, for example by torch.nn.utils.prune, to record it"
            )


def _hidden(tensor: Tensor) -> str | None:
    """What the tensor is, where its numbers are not simply stored."""
    if tensor.layout is not torch.strided:
        return f"a tensor of layout {str(tensor.layout).removeprefix('torch.')}"
    if tensor.is_quantized:
        return f"a quantised tensor ({str(tensor.dtype).removeprefix('torch.')})"
    unlike = type(tensor).__torch_dispatch__ is not Tensor.__torch_dispatch__
    return _kind(tensor) if unlike and not isinstance(tensor, FakeTensor) else None


def _stands_in(parameter: Tensor) -> bool:
    """Whether torch's functions are answered by the parameter's own class: what it stores may be anything."""
    answers, torchs = (
        {getattr(kind.__torch_function__, "__func__", kind.__torch_function__) for kind in kinds}
        for kinds in ((type(parameter),), (Tensor, nn.Parameter))
    )
    return not answers <= torchs and not isinstance(parameter, FakeTensor) and not is_lazy(parameter)


def _kind(tensor: Tensor) -> str:
    kind = type(tensor)
    article = "an" if kind.__name__[0] in "AEIOU" else "a"
    return f"{article} {kind.__name__} of {kind.__module__.partition('.')[0]}"
