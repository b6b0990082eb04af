"""A user's module recorded: one that is named and built here, or one that is there already.

One real step becomes a workload: forward, a loss, backward; updates are recorded, not run.
"""

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel

from workloads.errors import UserError
from workloads.methods.base import END_OF_RUN
from workloads.models.loss import CrossEntropy
from workloads.op import MatrixOp, Optimizer, Phase, Role
from workloads.pattern import PatternMap
from workloads.training.layers import InForce, Layers, make_masks, sparsify
from workloads.training.memory import check_memory
from workloads.training.operators import refuse_hidden_parameters
from workloads.training.record import Recorded, record_pass, versions
from workloads.training.tensor_names import is_fake
from workloads.training.trace_request import Input, Loss, Request, trace_request
from workloads.training.user_module import (
    Builder,
    blamed_on,
    build,
    current_folder_first,
    find_target,
    layers_of,
    uncompiled,
)
from workloads.workload import Capture, Mode, Workload

BYTES = 4  # of the smallest number that is drawn


@final
@dataclass(frozen=True)
class Traced:
    """The workload, and in words which loss was taken."""

    workload: Workload
    loss: str

    @property
    def products(self) -> int:
        """How many matrix products there are."""
        return sum(isinstance(op, MatrixOp) for op in self.workload.ops)

    @property
    def weight_zeros(self) -> float | None:
        """The share of zeros in the weights of the forward pass, weighted by their size; None without values."""
        ops = [op for op in self.workload.ops if isinstance(op, MatrixOp) and op.phase is Phase.FF]
        seen = [(op.inner * op.cols * op.count, op.right.zeros) for op in ops if op.right.role is Role.WEIGHT]
        sizes = sum(size for size, zeros in seen if zeros is not None)
        return sum(size * zeros for size, zeros in seen if zeros is not None) / sizes if sizes else None


@final
class SumOfSquares(nn.Module):
    """The loss of an output that is no logits: every element gets a gradient of its own size."""

    def forward(self, output: Tensor, _: Tensor) -> Tensor:
        return output.square().sum()


def record_step(request: Request, model: nn.Module, inputs: tuple[Tensor, ...]) -> Traced:
    """Record one step of a module, in place. Raises UserError where it cannot be run or recorded."""
    refuse_hidden_parameters(model)
    output = _dry_run(request, model, inputs)
    kind = _loss_for(request, output)
    loss = CrossEntropy() if kind is Loss.CROSS_ENTROPY else SumOfSquares()
    targets = output
    if kind is Loss.CROSS_ENTROPY:
        targets = torch.randint(0, output.shape[-1], output.shape[:-1], device=output.device)
    if request.method and isinstance(model, Layers):
        model = nn.Sequential(model)
    kept, sparse = _put_method(request, model)
    value: list[float] = []

    def run() -> None:
        with blamed_on(f"{request.target}: its forward pass stopped"):
            made = loss(model(*inputs), targets)
        if not made.requires_grad:
            raise UserError(f"{request.target}: its output depends on no parameter, so there is nothing to train")
        if not is_fake(made) and not made.isfinite():
            raise UserError(
                f"{request.target}: the loss is {float(made.detach())}, so nothing that is measured would mean anything"
            )
        with blamed_on(f"{request.target}: its backward pass stopped"):
            made.backward()
        if not is_fake(made):
            value.append(float(made.detach()))

    in_force = InForce(model)
    recorded = record_pass(model, loss, run, request.optimizer, in_force.pattern, order_of=in_force.order)
    _check(request, recorded, sparse)
    return Traced(_workload(request, recorded, kept, value), _loss_words(kind, output))


def _dry_run(request: Request, model: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    """What the module gives. Raises UserError where it cannot take the inputs, or gives no tensor of numbers."""
    shown = f"inputs of {request.sizes}" if request.given else " ".join(f"--input {each}" for each in request.inputs)
    hint = "; it may need values, so leave out --shapes-only" if request.shapes_only else ""
    with torch.no_grad(), blamed_on(f"{request.target}: cannot run on {shown}{hint}"):
        output = model(*inputs)
    if not isinstance(output, Tensor):
        kind = "dict" if isinstance(output, dict) else type(output).__name__
        raise UserError(
            f"{request.target}: returns a {kind}; wrap it in a module that returns one tensor, such as its logits"
        )
    if not output.dtype.is_floating_point:
        raise UserError(f"{request.target}: returns {output.dtype}, which has no gradient; wanted are real numbers")
    return output


def _loss_for(request: Request, output: Tensor) -> Loss:
    tokens = any(each.below is not None for each in request.inputs)
    could_be = output.dim() >= 2 and output.shape[-1] >= 2
    if request.loss is Loss.CROSS_ENTROPY and not could_be:
        raise UserError(f"--loss cross-entropy: the output {_sizes(output)} has no last axis of classes")
    if request.loss is not Loss.AUTO:
        return request.loss
    looks = could_be and (output.dim() == 2 or (tokens and output.dim() == 3))
    return Loss.CROSS_ENTROPY if looks else Loss.SQUARES


def _loss_words(kind: Loss, output: Tensor) -> str:
    if kind is Loss.CROSS_ENTROPY:
        return f"cross-entropy on random targets, with the output {_sizes(output)} as logits"
    return f"the sum of squares of the output {_sizes(output)}"


def _put_method(request: Request, model: nn.Module) -> tuple[tuple[str, ...], list[str]]:
    """(the layers left dense unless named: the first and the last, the layers that became sparse)."""
    if request.method is None:
        return (), []
    layers = list(layers_of(model))
    if not layers:
        raise UserError(f"{request.target}: has no convolution and no linear layer, so --pattern does nothing")
    kept = tuple(dict.fromkeys((layers[0], layers[-1])))
    sparse = sparsify(model, request.method, request.patterns, kept)
    make_masks(model, END_OF_RUN)
    if not sparse:
        raise UserError(
            f"--pattern {request.patterns}: no layer became sparse; the first and the last stay dense unless "
            f"--pattern LAYER=n:m names them (layers: {', '.join(layers)})"
        )
    return kept, sparse


def _check(request: Request, recorded: Recorded, sparse: Sequence[str]) -> None:
    ran = {op.layer for op in recorded.ops if isinstance(op, MatrixOp) and op.phase is Phase.FF}
    if not ran:
        raise UserError(f"{request.target}: multiplies nothing in its forward pass, so there is nothing to simulate")
    for layer in sparse:
        if layer not in ran:
            raise UserError(
                f"layer '{layer}': was made sparse and did not run; what it belongs to reads its weight by itself, or "
                f"does not use it: leave it out with --pattern {layer}=dense"
            )


def _workload(request: Request, recorded: Recorded, kept: tuple[str, ...], value: list[float]) -> Workload:
    first, shapes = request.inputs[0], "fake-tensor capture" if request.shapes_only else "recorded step"
    sparse = request.method is not None
    return Workload(
        model=request.target,
        method=request.method.name if request.method else "dense",
        pattern=str(request.patterns),
        batch=first.shape[0],
        sequence=first.shape[1] if first.below is not None and len(first.shape) > 1 else 1,
        mode=Mode.TRAINING,
        ops=recorded.ops,
        parameters=recorded.parameters,
        saved_elements=recorded.saved_elements,
        kept_dense=kept,
        capture=Capture(
            source=f"one step of a user's module, {shapes}",
            shapes=shapes,
            dataset=f"{'given' if request.given else 'random'} inputs {request.sizes}",
            loss=value[0] if value else None,
            seed=request.seed,
            versions=versions(),
            masks="measured" if sparse and not request.shapes_only else "derived",
        ),
        orders=recorded.orders,
    )


def _sizes(tensor: Tensor) -> str:
    return "x".join(str(int(size)) for size in tensor.shape) or "scalar"


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
    if not request.shapes_only:
        check_memory(BYTES * sum(math.prod(each.shape) for each in request.inputs), f"--input {request.sizes}")
    drawn = [
        torch.randn(each.shape) if each.below is None else torch.randint(0, each.below, each.shape)
        for each in request.inputs
    ]
    return record_step(request, model, tuple(drawn))


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
