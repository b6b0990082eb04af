"""One step of a training loop of the user's own, recorded while it runs."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import final

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.optimizer import Optimizer as TorchOptimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from workloads.ends import first_and_last
from workloads.errors import UserError
from workloads.op import MatrixOp, Optimizer, Phase, VectorOp
from workloads.recording.calls import tensors_in
from workloads.recording.inputs import described
from workloads.recording.record import NO_HOOKS, Checks, Recorded, updates, versions
from workloads.recording.recorder import Recorder
from workloads.recording.trace_request import STATED, Input
from workloads.sparsity.hooks import states_of, with_closure
from workloads.sparsity.in_force import InForce
from workloads.sparsity.masked_weight import check_module, masked_weights
from workloads.training.updates import UpdateEngine
from workloads.workload import Capture, Mode, Workload


@final
@dataclass
class Step:
    """One step of a loop, with its workload once it is over. Not frozen: it is complete when the block is left."""

    _workload: Workload | None = field(default=None, repr=False)

    @property
    def workload(self) -> Workload:
        """The step as a workload. Raises UserError inside the block."""
        if self._workload is None:
            raise UserError("step.workload: is there when the block of record is left")
        return self._workload


@final
@dataclass
class Seen:
    """The inputs and updates of a step, which its operators do not tell. Not frozen: it learns."""

    inputs: list[Input] = field(default_factory=list)  # of each time the model was called
    updated: list[VectorOp] = field(default_factory=list)
    optimizers: list[str] = field(default_factory=list)
    stepping: TorchOptimizer | None = None


@contextmanager
def record(model: nn.Module, *, name: str = "") -> Iterator[Step]:
    """Record one step of a loop: forward, loss, backward, `optimizer.step()`, however often each is called.

    >>> import torch
    >>> from workloads import record
    >>> model = torch.nn.Linear(16, 4)
    >>> optimizer = torch.optim.AdamW(model.parameters())
    >>> with record(model) as step:
    ...     model(torch.randn(8, 16)).square().mean().backward()
    ...     optimizer.step()
    >>> step.workload.macs
    1024

    The step runs as it would. Its products, vector work and updates are those of `step.workload` afterwards, with the
    patterns of `sparsify` in force and the zeros that operands held. What runs outside the model without gradients is
    left out: metrics, clipping, averages of weights, the making of batches. Without a backward pass the workload is one
    of inference, and without `optimizer.step()` in the block it has no updates. A compiled model runs uncompiled for
    the time of the block. name: what the workload calls the model; its class, if nothing else is said.

    Raises UserError for an operator that is not known, for an operand that holds more than its pattern allows, and
    where the model did not run.
    """
    check_module(model, "record")
    inner = model.module if isinstance(model, DistributedDataParallel) else model
    inner = getattr(inner, "_orig_mod", inner)
    in_force, seen, step = InForce(inner), Seen(), Step()
    checks = Checks(in_force.pattern, in_force.order)
    recorder = Recorder([("", inner)], checks, in_loop=True)

    def before(
        optimizer: TorchOptimizer, given: tuple[object, ...], named: dict[str, object]
    ) -> tuple[tuple[object, ...], dict[str, object]] | None:
        if seen.stepping is not None:  # one that another one calls is a part of it
            return None
        seen.stepping, known = optimizer, len(seen.updated)
        owned = {id(each) for group in optimizer.param_groups for each in group["params"]}

        def update() -> None:
            seen.updated[known:] = updates(inner, Optimizer.SGD, recorder.layer_of_parameter, in_force.pattern, owned)

        update()
        return with_closure(given, named, lambda: None, update)  # which gradients there are, a closure may decide

    def after(optimizer: TorchOptimizer, *_: object) -> None:
        if optimizer is seen.stepping:
            seen.stepping = None
            kind = _kind(optimizer)
            seen.optimizers.append(f"{type(optimizer).__name__}, counted as {kind}")
            seen.updated = [_by(each, kind) if each.optimizer is Optimizer.SGD else each for each in seen.updated]

    def called(_: nn.Module, args: tuple[object, ...], named: dict[str, object]) -> None:
        found = tensors_in((*args, *named.values()))
        if found and found[0].dim():
            seen.inputs.append(described(found[0]))

    hooks = [
        register_optimizer_step_pre_hook(before),
        register_optimizer_step_post_hook(after),
        inner.register_forward_pre_hook(called, with_kwargs=True),
    ]
    try:
        with torch.compiler.set_stance("force_eager"), recorder:
            yield step
    except RuntimeError as error:
        if NO_HOOKS in str(error):
            raise UserError("record: torch.func cannot run inside it; workloads.record_module records it") from None
        raise
    finally:
        for hook in hooks:
            hook.remove()
    step._workload = _workload(
        name or type(inner).__name__, inner, checks.recorded(recorder, inner, seen.updated), seen
    )


def _kind(optimizer: TorchOptimizer) -> Optimizer:
    """The optimizer, as far as hardware knows it: by the values that it keeps for each weight."""
    if isinstance(optimizer, UpdateEngine):
        return optimizer.update.optimizer
    if isinstance(optimizer, torch.optim.AdamW):
        return Optimizer.ADAMW
    parameters = (each for group in optimizer.param_groups for each in group["params"])
    states = max((len(states_of(optimizer, each)) for each in parameters), default=0)
    return {0: Optimizer.SGD, 1: Optimizer.MOMENTUM}.get(states, Optimizer.ADAM)


def _by(op: VectorOp, kind: Optimizer) -> VectorOp:
    reads, writes = (2 + kind.states) * op.elements, (1 + kind.states) * op.elements
    return replace(op, optimizer=kind, reads=reads, writes=writes)


def _workload(name: str, model: nn.Module, recorded: Recorded, seen: Seen) -> Workload:
    products = [op for op in recorded.ops if isinstance(op, MatrixOp)]
    if not products or not seen.inputs:
        raise UserError("record: the model did not run inside the block, or multiplied nothing")
    training = any(op.phase is not Phase.FF for op in products)
    first = seen.inputs[0]
    steps = Counter(seen.optimizers)
    notes = [f"optimizer {each}" for each in steps]
    if max(steps.values(), default=1) > 1:
        notes.append(
            f"{max(steps.values())} steps of an optimizer, taken as one: the block holds the work of all of them"
        )
    if training and not seen.updated:
        notes.append("no optimizer stepped inside the block, so there are no updates")
    weights = [weight for _, weight in masked_weights(model) if not weight.treatment.pattern.is_dense]
    return Workload(
        model=name,
        method=_one({weight.treatment.method.name for weight in weights}),
        pattern=_one({weight.treatment.asked or str(weight.treatment.pattern) for weight in weights}),
        batch=sum(each.shape[0] for each in seen.inputs),
        sequence=first.shape[1] if first.is_whole and len(first.shape) > 1 else 1,
        mode=Mode.TRAINING if training else Mode.INFERENCE,
        ops=recorded.ops,
        parameters=recorded.parameters,
        saved_elements=recorded.saved_elements if training else 0,
        kept_dense=first_and_last(recorded.ops),
        capture=Capture(
            source="one step of a user's loop",
            shapes="recorded step",
            dataset=f"the loop's own inputs {' '.join(str(each) for each in seen.inputs)}",
            step=max((weight.step for weight in weights), default=0),
            versions=versions(),
            assumed=recorded.assumed,
            notes=tuple(notes),
            masks="measured" if weights else "derived",
        ),
        orders=recorded.orders,
    )


def _one(words: set[str]) -> str:
    """What all weights have in common, dense where none is sparse."""
    return "dense" if not words else next(iter(words)) if len(words) == 1 else STATED
