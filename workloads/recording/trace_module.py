"""A user's module recorded: one that is named and built here, or one that is there already.

One real step becomes a workload: forward, a loss, backward; updates are recorded, not run. In inference it is the
forward pass alone.
"""

from contextlib import nullcontext, suppress
from copy import deepcopy
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.export import ExportedProgram, unflatten
from torch.nn.parameter import is_lazy

from workloads.ends import first_and_last
from workloads.errors import UserError
from workloads.op import MatrixOp, Optimizer, Phase
from workloads.pattern import PatternMap
from workloads.recording.hidden import refuse_hidden_parameters
from workloads.recording.inputs import Arguments, drawn, given
from workloads.recording.put_method import Put, put_method, weights_that_run
from workloads.recording.record import Recorded, record_pass, versions
from workloads.recording.step_loss import StepLoss
from workloads.recording.tensor_names import is_fake
from workloads.recording.trace_request import STATED, Loss, Request, trace_request
from workloads.recording.user_module import (
    Builder,
    blamed_on,
    build,
    current_folder_first,
    find_target,
    uncompiled,
)
from workloads.workload import Capture, Mode, Workload


@final
@dataclass(frozen=True)
class Traced:
    """The workload, and in words which loss was taken."""

    workload: Workload
    loss: str
    weight_zeros: float | None  # the share of zeros in the weights of the forward pass; None without values

    @property
    def products(self) -> int:
        """How many matrix products there are."""
        return sum(isinstance(op, MatrixOp) for op in self.workload.ops)


def record_step(request: Request, model: nn.Module, arguments: Arguments) -> Traced:
    """Record one step of a module, in place. Raises UserError where it cannot be run or recorded."""
    refuse_hidden_parameters(model)
    training, loss, value = request.mode is Mode.TRAINING, StepLoss(request), list[float]()
    if not training:
        model.eval()

    def forward() -> object:
        with blamed_on(_cannot_run(request)), nullcontext() if training else torch.no_grad():
            return arguments.call(model)

    def run() -> None:
        made = forward()
        if not training:
            return
        with blamed_on(f"{request.target}: its loss stopped"):
            scalar = loss(made)
        _check_loss(request, model, scalar)
        with blamed_on(f"{request.target}: its backward pass stopped"):
            scalar.backward()
        if not is_fake(scalar):
            value.append(float(scalar.detach()))

    if any(map(is_lazy, model.parameters())):  # their sizes follow from what comes in first
        with torch.no_grad():
            forward()
    put = Put()
    if request.method is not None:
        put = put_method(request, model, weights_that_run(model, forward))
    recorded = record_pass(
        model, loss, run, request.optimizer, put.pattern_of, order_of=put.order_of, find=not request.plain
    )
    _check(request, recorded)
    kept = put.kept if request.method else first_and_last(recorded.ops)
    notes = (*put.notes, *recorded.found)
    return Traced(_workload(request, recorded, kept, value, notes), loss.words, recorded.weight_zeros)


def _cannot_run(request: Request) -> str:
    shown = f"inputs of {request.sizes}" if request.given else " ".join(f"--input {each}" for each in request.inputs)
    hint = "; it may need values, which --shapes-only and --scale do without" if request.shapes_only else ""
    return f"{request.target}: cannot run on {shown}{hint}"


def _check_loss(request: Request, model: nn.Module, loss: Tensor) -> None:
    if not loss.requires_grad:
        frozen = not any(each.requires_grad for each in model.parameters())
        cure = "; its parameters are frozen: --mode inference records its forward pass" if frozen else ""
        raise UserError(f"{request.target}: its output depends on no parameter, so there is nothing to train{cure}")
    if not is_fake(loss) and not loss.isfinite():
        raise UserError(
            f"{request.target}: the loss is {float(loss.detach())}, so nothing that is measured would mean anything"
        )


def _check(request: Request, recorded: Recorded) -> None:
    if not any(isinstance(op, MatrixOp) and op.phase is Phase.FF for op in recorded.ops):
        raise UserError(f"{request.target}: multiplies nothing in its forward pass, so there is nothing to simulate")


def _workload(
    request: Request, recorded: Recorded, kept: tuple[str, ...], value: list[float], notes: tuple[str, ...]
) -> Workload:
    shapes = "fake-tensor capture" if request.shapes_only else "recorded step"
    sparse = request.method is not None
    name, pattern = request.method.name if request.method else "dense", str(request.patterns)
    if recorded.found:
        name, pattern = STATED, STATED
    return Workload(
        model=request.target,
        method=name,
        pattern=pattern,
        batch=request.batch,
        sequence=request.sequence,
        mode=request.mode,
        ops=recorded.ops,
        parameters=recorded.parameters,
        saved_elements=recorded.saved_elements if request.mode is Mode.TRAINING else 0,
        kept_dense=kept,
        capture=Capture(
            source=f"one step of a user's module, {shapes}",
            shapes=shapes,
            dataset=f"{'given' if request.given else 'random'} inputs {request.sizes}",
            loss=value[0] if value else None,
            seed=request.seed,
            versions=versions(),
            assumed=recorded.assumed,
            notes=notes,
            masks="measured" if (sparse or recorded.found) and not request.shapes_only else "derived",
        ),
        orders=recorded.orders,
    )


def trace_module(request: Request) -> Traced:
    """Build the user's module and record one step of it on random inputs.

    Raises UserError where the module cannot be found, built, run or recorded.
    """
    with current_folder_first():
        found = find_target(request.target)
        if request.shapes_only and isinstance(found, nn.Module):
            raise UserError(
                f"{request.target}: --shapes-only and --scale take a function that builds the module, not a module"
            )
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
    model = build(request.target, found, request.config)
    choose = getattr(model, "set_experts_implementation", None)
    if request.shapes_only and callable(choose):
        with suppress(ValueError):  # every model of transformers has the function, few have experts
            choose("grouped_mm")  # the other forms of experts look at where the rows go
    return record_step(request, model, drawn(request.inputs, model, values=not request.shapes_only))


def record_module(
    module: nn.Module | ExportedProgram,
    inputs: object,
    *,
    method: str | None = None,
    patterns: PatternMap | None = None,
    optimizer: str = Optimizer.MOMENTUM,
    loss: str = Loss.AUTO,
    output: str = "",
    mode: str = Mode.TRAINING,
    shapes_only: bool = False,
    seed: int = 0,
    name: str = "module",
) -> Workload:
    """One step of a module, or of a program of torch.export, on example inputs: a tensor, a tuple of them, or a dict by
    name, batch first; each may be a container of tensors.

    A copy is recorded; the module stays as it is. With patterns a method is put on the copy, bdwp unless another one is
    named. loss: of `output`, a part of what the module returns such as "logits" or "0"; by default its own loss, else
    one of its logits. mode: "training", or "inference": the forward pass alone. seed: of dropout and targets. name:
    what the workload and messages call the module.
    Raises UserError where the inputs are no tensors, for a wrong name, and where the module cannot be copied, run or
    recorded.
    """
    arguments, described = given(inputs)
    request = trace_request(
        name, described, method, patterns, (), optimizer, loss, shapes_only, seed, given=True, output=output, mode=mode
    )
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(seed)
        if not shapes_only:
            return record_step(request, _copied(request, module), arguments).workload
        fake = FakeTensorMode()
        with FakeCopyMode(fake):
            model = _copied(request, module)
        with fake:
            return record_step(request, model, arguments.of(fake.from_tensor)).workload


def _copied(request: Request, module: nn.Module | ExportedProgram) -> nn.Module:
    """A copy in training mode. An exported program becomes the modules that it was exported from, by their names; what
    it does in training was decided when it was exported."""
    with blamed_on(f"{request.target}: copying it stopped"):
        if isinstance(module, ExportedProgram):
            return unflatten(module)
        return uncompiled(deepcopy(module)).train()
