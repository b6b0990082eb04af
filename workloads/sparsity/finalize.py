"""A plain model of a sparse one, with its masks baked in: for evaluation elsewhere, for saving, for packed formats."""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from workloads.errors import UserError, unknown_name
from workloads.methods.base import MaskUse
from workloads.op import Phase
from workloads.sparsity.layers import SparseModule, restore
from workloads.sparsity.masked_weight import MaskedWeight, check_module, masked_weights, masked_weights_of
from workloads.sparsity.products import masked

TORCHAO = "torchao"


def finalize(model: nn.Module, *, to: str | None = None, in_place: bool = False) -> nn.Module:
    """A copy of a sparse model with plain layers of their own classes, whose weights are those that FF uses.

    It has the parameters and state_dict keys of the dense model, so it loads wherever that does, and no masks. Under a
    method that masks no operand and lets weights fade (adams), what its mask drops is 0 now. A weight that a sparse
    layer shared with a dense one, such as an embedding, is its own afterwards.

    to: "torchao" gives linear layers the packed 2:4 weights of torch (torch.sparse.to_sparse_semi_structured, which
    torchao uses), where at most 2 of every 4 inputs are kept (2:4, 1:4, 2:8 ...) and torch takes size and number format
    (FP16 or BF16; on CUDA). The other layers stay plain. in_place: the model itself is changed, and no copy is made.

    Raises UserError where the model has no sparse layer, where masks hold more than their pattern allows, as those have
    that somebody averaged, and where no layer can be packed.
    """
    if to not in (None, TORCHAO):
        raise unknown_name("form", str(to), [TORCHAO], "to")
    check_module(model, "finalize")
    if isinstance(model, DistributedDataParallel):
        model = model.module
    if not any(True for _ in masked_weights(model)):
        raise UserError("finalize: the model has no sparse layer; sparsify makes some")
    plain = model if in_place else deepcopy(model)
    packable = [module for module in plain.modules() if to and _may_pack(module)]
    baked: dict[int, nn.Parameter] = {}
    for _, weight in masked_weights(plain):  # all of them first: a refusal leaves the model as it was
        if id(weight.master) not in baked:
            baked[id(weight.master)] = _baked(weight)
    for module in [each for each in plain.modules() if isinstance(each, SparseModule)]:
        for weight in masked_weights_of(module):
            module._parameters[weight.name] = baked[id(weight.master)]
        restore(module)
    if to:
        _pack(packable)
    return plain


def _baked(weight: MaskedWeight) -> nn.Parameter:
    master, masks = weight.master, weight.masks
    if masks is None or weight.treatment.method.mask_use is MaskUse.NONE:
        return master
    if not masks.forward.is_meta and not weight.holds(masks.forward, Phase.FF):
        raise UserError(
            f"finalize: {weight.said}: its mask keeps more than {weight.mask_pattern(Phase.FF)} allows, as the average "
            "of several masks does; average the weights alone, and copy the masks of the model that trains"
        )
    return nn.Parameter(masked(master.detach(), masks.forward), requires_grad=master.requires_grad)


def _may_pack(module: nn.Module) -> bool:
    """Whether at most 2 of every 4 inputs of a layer are kept."""
    if not isinstance(module, nn.Linear) or not isinstance(module, SparseModule):
        return False
    weight = next(masked_weights_of(module))
    masks = weight.masks
    if masks is None or masks.forward.dtype is not torch.bool or masks.forward.shape[1] % 4:
        return False
    return bool((masks.forward.unflatten(1, (-1, 4)).sum(-1) <= 2).all())  # type: ignore[no-untyped-call]


def _pack(modules: list[nn.Module]) -> None:
    packed, reason = 0, "no linear layer keeps at most 2 of every 4 inputs"
    for module in modules:
        weight = module._parameters["weight"]
        assert weight is not None
        try:
            made: Tensor = torch.sparse.to_sparse_semi_structured(weight.detach())
        except (RuntimeError, ValueError, NotImplementedError) as error:
            reason = str(error).splitlines()[0]
            continue
        module._parameters["weight"] = nn.Parameter(made, requires_grad=False)
        packed += 1
    if not packed:
        raise UserError(f"finalize to='{TORCHAO}': no layer could be packed: {reason}")
