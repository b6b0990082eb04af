"""Training steps: forward, backward, update; and one step as a Workload.

The method is put on the model as in any loop (`workloads.sparsity`): its masks and rules follow the optimizer's steps.
In mixed precision there is a loss scale; a step whose gradients overflowed is left out, and is none to the method.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor, nn

from workloads.methods.base import Method
from workloads.models.loss import IGNORED, CrossEntropy
from workloads.models.spec import DataKind, ModelSpec
from workloads.pattern import PatternMap
from workloads.recording.record import Recorded, Watcher, record_pass, versions
from workloads.sparsity.in_force import InForce
from workloads.sparsity.sparsify import Asked, check_patterns, put
from workloads.training.loss_scale import LossScale
from workloads.training.updates import State, Update, UpdateEngine
from workloads.workload import Capture, Mode, Workload

Batch = tuple[Tensor, Tensor]


@final
@dataclass(frozen=True)
class Recipe:
    """How to train: the method on which layers, the update, the precision of operands, and in how many parts each batch
    goes forward and backward before its one update."""

    method: Method
    patterns: PatternMap
    kept_dense: Sequence[str]
    update: Update
    mixed: bool = False
    loss_scale: LossScale = field(default_factory=LossScale)
    parts: int = 1


@final
@dataclass
class Training:
    """A model in training. Not frozen: this is where the state of a run lives."""

    model: nn.Module
    recipe: Recipe
    loss: nn.Module = field(default_factory=CrossEntropy)
    step: int = 0

    def __post_init__(self) -> None:
        recipe = self.recipe
        patterns, kept = recipe.patterns, recipe.kept_dense
        check_patterns(self.model, patterns)
        asked = Asked(recipe.method, lambda layer: patterns.of(layer, layer in kept), (), recipe.mixed, str(patterns))
        self.sparse_layers = put(self.model, asked)
        self.scale = recipe.loss_scale if recipe.mixed else LossScale(1.0)
        self.engine = UpdateEngine(self.model.parameters(), recipe.update)

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
        whole = 0.0
        for inputs, targets, share in cut(batch, self.recipe.parts):
            loss = self.loss(self.model(inputs), targets)
            if share:  # the mean over no target is no number
                (loss * (self.scale.scale * share)).backward()
                whole += float(loss.detach()) * share
        return whole

    @torch.no_grad()
    def update(self) -> None:
        """Update every parameter that has a gradient, unless a gradient overflowed."""
        gradients = [each.grad for each in self.model.parameters() if each.grad is not None]
        finite = all(bool(gradient.isfinite().all()) for gradient in gradients)
        used, self.scale = self.scale.scale, self.scale.after(finite) if self.recipe.mixed else self.scale
        self.step += 1
        if finite:
            for gradient in gradients:
                gradient.div_(used)
            self.engine.update, self.engine.number = self.recipe.update, self.step
            self.engine.step()


def cut(batch: Batch, parts: int) -> list[tuple[Tensor, Tensor, float]]:
    """Inputs and targets of each part, and its share of the targets that count: what its mean loss weighs."""
    inputs, targets = batch
    if parts == 1:
        return [(inputs, targets, 1.0)]
    counted = [int((each.numpy() != IGNORED).sum()) for each in targets.chunk(parts)]  # no work of a machine
    shares = [count / max(1, sum(counted)) for count in counted]
    return list(zip(inputs.chunk(parts), targets.chunk(parts), shares, strict=True))


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
    inputs, _ = batch
    return Workload(
        model=spec.name,
        method=training.recipe.method.name,
        pattern=str(training.recipe.patterns),
        batch=inputs.shape[0],
        sequence=inputs.shape[1] if spec.data is DataKind.BYTES else 1,
        mode=Mode.TRAINING,
        ops=recorded.ops,
        parameters=recorded.parameters,
        saved_elements=recorded.saved_elements,
        kept_dense=tuple(training.recipe.kept_dense),
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
