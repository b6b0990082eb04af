"""Training steps: forward, backward, update; and one step as a Workload.

The method is put on the model as in any loop (`workloads.sparsity`): its masks and rules follow the optimizer's steps.
In mixed precision there is a loss scale; a step whose gradients overflowed is left out, and is none to the method.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast, final

import torch
from torch import Tensor, nn

from workloads.ends import first_and_last
from workloads.methods.base import Method
from workloads.models.loss import IGNORED, CrossEntropy
from workloads.models.spec import ModelSpec
from workloads.pattern import PatternMap
from workloads.recording.calls import tensors_in
from workloads.recording.inputs import described
from workloads.recording.record import Recorded, Watcher, record_pass, versions
from workloads.sparsity.in_force import InForce
from workloads.sparsity.sparsify import Asked, check_patterns, put
from workloads.training.data import Batch, Inputs
from workloads.training.loss_scale import LossScale
from workloads.training.own import logits_of
from workloads.training.updates import Engine, State, Update, UpdateEngine
from workloads.workload import Capture, Mode, Workload


@final
@dataclass(frozen=True)
class Recipe:
    """How to train: the method on which layers, the update, the precision of operands, and in how many parts each batch
    goes forward and backward before its one update."""

    method: Method
    patterns: PatternMap
    kept_dense: Sequence[str]  # layers, unless a pattern names them
    update: Update
    mixed: bool = False
    loss_scale: LossScale = field(default_factory=LossScale)
    fixed_scale: bool = False  # it stays what it is
    parts: int = 1
    readers: Sequence[str] = ()  # modules that read the weights of their children


@final
@dataclass
class Training:
    """A model in training. Not frozen: this is where the state of a run lives.

    beside: the same training in torch, where this one's products and updates happen on a backend. left_out: whether the
    last step updated nothing, because a gradient overflowed.
    """

    model: nn.Module
    recipe: Recipe
    loss: nn.Module = field(default_factory=CrossEntropy)
    step: int = 0
    beside: "Training | None" = None
    left_out: bool = False
    logits: list[tuple[Tensor | None, Tensor | None]] = field(default_factory=list)  # of the last batch, with targets

    def __post_init__(self) -> None:
        recipe = self.recipe
        patterns, kept = recipe.patterns, recipe.kept_dense
        check_patterns(self.model, patterns)
        asked = Asked(recipe.method, lambda layer: patterns.of(layer, layer in kept), recipe.readers, recipe.mixed)
        self.sparse_layers = put(self.model, asked)
        self.scale = recipe.loss_scale if recipe.mixed else LossScale(1.0)
        self.engine: Engine = UpdateEngine(self.model.parameters(), recipe.update)

    @property
    def states(self) -> dict[str, State]:
        """What the optimizer keeps for each parameter that has had a gradient, by the parameter's name."""
        named = self.model.named_parameters()
        return {name: self.engine.state[each] for name, each in named if each in self.engine.state}

    def run_step(self, batch: Batch) -> float:
        """One step on (inputs, targets). Returns the loss before the update."""
        loss = self.gradients(batch)
        self.update()
        return loss

    def record_step(self, batch: Batch, watch: Watcher | None = None) -> tuple[Recorded, float]:
        """One step, recorded. Returns what it did and the loss. Raises UserError for a mask its pattern forbids."""
        in_force, losses = InForce(self.model), list[float]()
        recorded = record_pass(
            self.model,
            self.loss,
            lambda: losses.append(self.gradients(batch)),
            self.recipe.update.optimizer,
            in_force.pattern,
            watch,
            in_force.order,
        )
        self.update()
        return recorded, losses[0]

    def gradients(self, batch: Batch) -> float:
        """Forward and backward. Leaves gradients times the loss scale on the parameters; returns the loss."""
        self.model.zero_grad(set_to_none=True)
        self.logits = []
        whole = 0.0
        for inputs, targets, share in cut(batch, self.recipe.parts):
            with self.engine.products():
                output = called(self.model, inputs)
            loss = self.loss(output, targets)
            found = logits_of(output)
            self.logits.append((None if found is None else found.detach(), targets))  # the graph goes with the step
            if share:  # the mean over no target is no number
                (loss * (self.scale.scale * share)).backward()
                whole += float(loss.detach()) * share
        return whole

    @torch.no_grad()
    def update(self) -> None:
        """Update every parameter that has a gradient, unless a gradient overflowed."""
        gradients = [each.grad for each in self.model.parameters() if each.grad is not None]
        finite = all(bool(gradient.isfinite().all()) for gradient in gradients)
        used, changes = self.scale.scale, self.recipe.mixed and not self.recipe.fixed_scale
        self.scale = self.scale.after(finite) if changes else self.scale
        self.step += 1
        self.left_out = not finite
        if finite:
            for gradient in [] if self.engine.keeps_scale else gradients:
                gradient.div_(used)
            self.engine.update, self.engine.number = self.recipe.update, self.step
            self.engine.step()


def called(model: nn.Module, inputs: Inputs) -> object:
    """The output of a model for one input, for several in order, or for several by name."""
    if isinstance(inputs, Tensor):
        return model(inputs)
    return model(**inputs) if isinstance(inputs, Mapping) else model(*inputs)


def cut(batch: Batch, parts: int) -> list[tuple[Inputs, Tensor | None, float]]:
    """Inputs and targets of each part, and its share of the targets that count: what its mean loss weighs."""
    inputs, targets = batch
    if parts == 1:
        return [(inputs, targets, 1.0)]
    pieces = cast(list[Inputs], _pieces(inputs, parts))
    if targets is None or targets.is_floating_point():
        of_targets = [None] * parts if targets is None else list(targets.chunk(parts))
        return [(one, other, 1 / parts) for one, other in zip(pieces, of_targets, strict=True)]
    counted = [int((each.cpu().numpy() != IGNORED).sum()) for each in targets.chunk(parts)]  # no work of a machine
    shares = [count / max(1, sum(counted)) for count in counted]
    return list(zip(pieces, targets.chunk(parts), shares, strict=True))


def _pieces(value: object, parts: int) -> list[object]:
    """A batch, or a container of such, cut into equal parts; what is no tensor goes into each."""
    if isinstance(value, Tensor):
        return list(value.chunk(parts))
    if isinstance(value, Mapping):
        inner = {name: _pieces(each, parts) for name, each in value.items()}
        return [{name: each[part] for name, each in inner.items()} for part in range(parts)]
    if isinstance(value, (tuple, list)):
        return [list(each) for each in zip(*(_pieces(each, parts) for each in value), strict=True)]
    return [value] * parts


def trace_step(
    spec: ModelSpec,
    training: Training,
    batch: Batch,
    dataset: str = "",
    seed: int = 0,
    watch: Watcher | None = None,
) -> Workload:
    """Run one step of a training and return what it did. `watch` sees every product with its tensors.

    Its masks are `measured`: they are those of the run's own method and patterns. Raises UserError for a mask its
    pattern forbids.
    """
    scale = training.scale.scale
    recorded, loss = training.record_step(batch, watch)
    first = described(tensors_in([batch[0]])[0])
    return Workload(
        model=spec.name,
        method=training.recipe.method.name,
        pattern=str(training.recipe.patterns),
        batch=first.shape[0],
        sequence=first.shape[1] if first.is_whole and len(first.shape) > 1 else 1,
        mode=Mode.TRAINING,
        ops=recorded.ops,
        parameters=recorded.parameters,
        saved_elements=recorded.saved_elements,
        kept_dense=spec.kept_dense or first_and_last(recorded.ops),
        orders=recorded.orders,
        capture=Capture(
            source="recorded step",
            shapes="recorded step",
            dataset=dataset,
            step=training.step,
            loss=loss,
            loss_scale=scale,
            seed=seed,
            versions=versions(),
            masks="measured",
        ),
    )
