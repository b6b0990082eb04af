"""A user's module recorded: one that is named and built here, or one that is there already."""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel

from workloads.errors import UserError
from workloads.op import Optimizer
from workloads.pattern import PatternMap
from workloads.training.module_step import Traced, record_step
from workloads.training.trace_request import Input, Loss, Request, trace_request
from workloads.training.user_module import Builder, blamed_on, build, current_folder_first, find_target, uncompiled
from workloads.workload import Workload


def trace_module(request: Request) -> Traced:
    """Build the user's module and record one step of it on random inputs.

    Raises UserError where the module cannot be found, built, run or recorded.
    """
    with current_folder_first():
        found = find_target(request.target)
        if request.shapes_only and isinstance(found, nn.Module):
            raise UserError(f"{request.target}: --shapes-only takes a function that builds the module, not a module")
        with sdpa_kernel(SDPBackend.MATH):  # attention as products, not as one operator that hides them
            return (_without_values if request.shapes_only else _traced)(request, found)


def _without_values(request: Request, found: Builder) -> Traced:
    """On torch's meta device; where the module insists on a CPU, on fake tensors, which are slower and play one."""
    try:
        with torch.device("meta"):
            return _traced(request, found)
    except UserError:
        with FakeTensorMode():
            return _traced(request, found)


def _traced(request: Request, found: Builder) -> Traced:
    torch.manual_seed(request.seed)
    model = build(request.target, found)
    return record_step(request, model, tuple(_drawn(each) for each in request.inputs))


def _drawn(one: Input) -> Tensor:
    """Values by torch's own generator."""
    return torch.randn(one.shape) if one.below is None else torch.randint(0, one.below, one.shape)


def record_module(
    module: nn.Module,
    inputs: object,
    *,
    method: str | None = None,
    patterns: PatternMap | None = None,
    optimizer: str = Optimizer.MOMENTUM,
    loss: str = Loss.AUTO,
    shapes_only: bool = False,
    seed: int = 0,
    name: str = "module",
) -> Workload:
    """One training step of a module on example inputs: a tensor, or a tuple or list of them, batch first.

    A copy is recorded, in training mode; the module stays as it is. With patterns a method is put on the copy, bdwp
    unless another one is named. seed: of dropout and targets. name: what the workload and messages call it.
    Raises UserError where the inputs are no tensors, for a wrong name, and where the module cannot be copied, run or
    recorded.
    """
    tensors = _tensors(inputs)
    sizes = [_described(each) for each in tensors]
    request = trace_request(
        name, sizes, method, patterns, (), optimizer, loss, shapes_only=shapes_only, seed=seed, given=True
    )
    with torch.random.fork_rng(), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        torch.manual_seed(seed)
        if not shapes_only:
            return record_step(request, _copied(request, module), tensors).workload
        fake = FakeTensorMode()
        with FakeCopyMode(fake):
            model = _copied(request, module)
        with fake:
            return record_step(request, model, tuple(fake.from_tensor(each) for each in tensors)).workload


def _copied(request: Request, module: nn.Module) -> nn.Module:
    with blamed_on(f"{request.target}: copying it stopped"):
        return uncompiled(deepcopy(module)).train()


def _tensors(inputs: object) -> tuple[Tensor, ...]:
    """Copies of the inputs. Raises UserError for anything that is no tensor with the batch first."""
    found = inputs if isinstance(inputs, (tuple, list)) else (inputs,)
    for each in found:
        if not isinstance(each, Tensor) or not each.dim():
            what = "a scalar" if isinstance(each, Tensor) else f"a {type(each).__name__}"
            raise UserError(f"inputs: {what}; wanted is a tensor, batch first, or a tuple of them")
    if not found:
        raise UserError("inputs: none; wanted is a tensor, batch first, or a tuple of them")
    return tuple(each.detach().clone() for each in found)


def _described(tensor: Tensor) -> Input:
    whole = not (tensor.dtype.is_floating_point or tensor.dtype.is_complex)
    return Input(tuple(tensor.shape), int(tensor.max()) + 1 if whole and tensor.numel() else None)
