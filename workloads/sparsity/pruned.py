"""Weights that a pruning tool left zeros in: taken over from it, and the zeros as the first mask of a method.

Known are torch.nn.utils.prune, torch.ao.pruning and torchao's tools of the same kind (a mask as a parametrization), and
torch's and torchao's packed weights, which become plain ones.
"""

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize, prune

from workloads.errors import UserError
from workloads.op import Phase, Role
from workloads.pattern import Pattern
from workloads.recording.tensor_names import is_fake
from workloads.sparsity.masked_weight import MaskedWeight
from workloads.training.masks import largest_group_count

WEIGHT = "weight"


def is_known(module: nn.Module) -> bool:
    """Whether a pruning tool has a module's weight, and is one that is known."""
    return _is_pruned(module) or (parametrize.is_parametrized(module, WEIGHT) and _only_masks(module))


def take_over(layer: str, module: nn.Module) -> None:
    """Make a layer's pruning permanent, in place: its weight is a plain parameter with zeros in it.

    Raises UserError for a weight that is something else.
    """
    if _is_pruned(module):
        prune.remove(module, WEIGHT)  # type: ignore[no-untyped-call]
    elif parametrize.is_parametrized(module, WEIGHT) and _only_masks(module):
        parametrize.remove_parametrizations(module, WEIGHT, leave_parametrized=True)
    weight = module._parameters.get(WEIGHT)
    if weight is None:
        raise UserError(
            f"layer '{layer}': its weight is made by another tool, of other parameters; make that permanent first, or "
            "keep the layer dense"
        )
    if type(weight) not in (Tensor, nn.Parameter) and not is_fake(weight) and not is_lazy(weight):
        _unpack(layer, module, weight)


def _is_pruned(module: nn.Module) -> bool:
    hooks = module._forward_pre_hooks.values()
    return any(isinstance(hook, prune.BasePruningMethod) and hook._tensor_name == WEIGHT for hook in hooks)


def _only_masks(module: nn.Module) -> bool:
    """Whether a parametrized weight is multiplied by masks, and nothing else is done to it."""
    steps = module.parametrizations[WEIGHT]  # type: ignore[index]
    return all("mask" in step._buffers and not list(step.parameters()) for step in steps)


def _unpack(layer: str, module: nn.Module, weight: Tensor) -> None:
    kind = type(weight)
    for name in ("dequantize", "to_dense"):
        if _is_sharded(weight):
            break
        try:
            plain = getattr(weight, name)().detach().clone()
        except (NotImplementedError, RuntimeError, TypeError, AttributeError):
            continue  # of one form or of the other, or of none that is known
        if type(plain) is Tensor and plain.layout is torch.strided and plain.is_floating_point():
            module._parameters[WEIGHT] = nn.Parameter(plain)
            return
    raise UserError(
        f"layer '{layer}': its weight is a {kind.__name__} of {kind.__module__.partition('.')[0]}; only plain tensors "
        "can be made sparse, so do that first, or keep the layer dense"
    )


def _is_sharded(weight: Tensor) -> bool:
    """Whether a process has a part of it alone (FSDP): groups may lie across parts."""
    return hasattr(weight, "full_tensor")


def first_mask(weight: MaskedWeight) -> Tensor | None:
    """What is not zero, (G, O, C, T), where that is just what the method could have kept; None elsewhere.

    So a weight that starts as all zeros, or that holds more or less than its pattern, gets a mask of the method's own.
    """
    method, pattern = weight.treatment.method, weight.treatment.pattern
    values = weight.canonical(weight.master.detach())
    if is_fake(values) or pattern.is_dense or not method.operand(Phase.FF, Role.WEIGHT):
        return None
    kept = values != 0
    if bool(kept.all()) or not _holds(kept, pattern, 2):
        return None
    other_way = method.operand(Phase.BP, Role.WEIGHT) and not method.backward_mask
    return None if other_way and not _holds(kept, pattern, 1) else kept


def _holds(kept: Tensor, pattern: Pattern, axis: int) -> bool:
    """Whether as many are kept, and where, as the pattern has it along an axis of (G, O, C, T)."""
    if not pattern.is_grouped:  # fan-in k: all inputs of an output
        counts = kept.flatten(2).sum(-1)
        return bool((counts == min(pattern.fan_in, kept[0, 0].numel())).all())
    whole = kept.numel() // kept.shape[axis] * pattern.kept(kept.shape[axis])
    return int(kept.sum()) == whole and largest_group_count(kept.float(), pattern.m, axis) <= pattern.n
