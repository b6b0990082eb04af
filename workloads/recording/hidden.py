"""Tensors that hide their values, in a sentence each.

Layers that other tools made sparse are recorded as they are where plain tensors with zeros in them are used: under
torch.ao.pruning, torch.nn.utils.prune, torchao's Wanda, supermasks and fake sparsity, and whatever else multiplies a
weight by a mask. Weights in a packed, compressed or quantised form are refused.
"""

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.parameter import is_lazy

from workloads.errors import UserError

PLAIN = (Tensor, nn.Parameter, FakeTensor)


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
