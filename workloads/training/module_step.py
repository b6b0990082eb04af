"""One real step of a user's module as a workload: forward, a loss, backward; updates are recorded, not run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from workloads.errors import UserError
from workloads.methods.base import END_OF_RUN
from workloads.models.loss import CrossEntropy
from workloads.op import MatrixOp, Phase, Role
from workloads.training.layers import InForce, Layers, make_masks, sparsify
from workloads.training.operators import refuse_hidden_parameters
from workloads.training.record import Recorded, record_pass, versions
from workloads.training.tensor_names import is_fake
from workloads.training.trace_request import Loss, Request
from workloads.training.user_module import blamed_on, layers_of
from workloads.workload import Capture, Mode, Workload


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
