"""Training steps: masks, forward, backward, gradient rule, update; and one step as a Workload.

In mixed precision there is a loss scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor, nn

from workloads.methods.base import GradientRule, Method
from workloads.models.loss import IGNORED, CrossEntropy
from workloads.models.spec import DataKind, ModelSpec
from workloads.op import Phase
from workloads.pattern import PatternMap
from workloads.recording.record import Recorded, Watcher, record_pass, versions
from workloads.training.arithmetic import State, Update
from workloads.training.layers import InForce, MethodLayer, make_masks, method_layers, sparsify
from workloads.training.loss_scale import LossScale
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
    states: dict[str, State] = field(default_factory=dict)

    def __post_init__(self) -> None:
        recipe = self.recipe
        self.sparse_layers = sparsify(self.model, recipe.method, recipe.patterns, recipe.kept_dense, recipe.mixed)
        self.scale = recipe.loss_scale if recipe.mixed else LossScale(1.0)
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        self.layer_of = {names[layer.weight]: layer for _, layer in method_layers(self.model)}

    def run_step(self, batch: Batch) -> float:
        """One step on (inputs, targets). Returns the loss before the update."""
        make_masks(self.model, self.step)
        loss = self.gradients(batch)
        self.update()
        return loss

    def record_step(self, batch: Batch, watch: Watcher | None = None) -> tuple[Recorded, float]:
        """One step, recorded. Returns what it did and the loss. Raises UserError for a mask its pattern forbids."""
        make_masks(self.model, self.step)
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
        found = {name: each for name, each in self.model.named_parameters() if each.grad is not None}
        finite = all(bool(each.grad.isfinite().all()) for each in found.values() if each.grad is not None)
        used, self.scale = self.scale.scale, self.scale.after(finite) if self.recipe.mixed else self.scale
        if finite:
            for name, parameter in found.items():
                self._update_one(name, parameter, used)
        self.step += 1

    def _update_one(self, name: str, parameter: nn.Parameter, scale: float) -> None:
        assert parameter.grad is not None
        layer = self.layer_of.get(name)
        gradient = parameter.grad / scale
        if layer:
            gradient = adjusted(gradient, layer)
        state = self.states.setdefault(name, {})
        self.recipe.update.apply(parameter, gradient, state, self.step + 1)
        method = self.recipe.method
        if layer and layer.masks and method.after_update:
            shaped = {key: layer.canonical(value) for key, value in state.items()}
            mask = layer.canonical(layer.masks.forward)
            with method.named():
                method.after_update(layer.canonical(parameter.data), mask, shaped, self.step)


def cut(batch: Batch, parts: int) -> list[tuple[Tensor, Tensor, float]]:
    """Inputs and targets of each part, and its share of the targets that count: what its mean loss weighs."""
    inputs, targets = batch
    if parts == 1:
        return [(inputs, targets, 1.0)]
    counted = [int((each.numpy() != IGNORED).sum()) for each in targets.chunk(parts)]  # no work of a machine
    shares = [count / max(1, sum(counted)) for count in counted]
    return list(zip(inputs.chunk(parts), targets.chunk(parts), shares, strict=True))


def adjusted(gradient: Tensor, layer: MethodLayer) -> Tensor:
    """The weight gradient, without loss scale, under the method's gradient rule and decay."""
    method, masks = layer.treatment.method, layer.masks
    if masks is None:
        return gradient
    if method.gradient is GradientRule.MASKED:
        gradient = gradient * masks.forward
    if method.decay:
        mask = masks.backward if method.decay_phase is Phase.BP else masks.forward
        dropped = layer.weight.detach() * (1 - mask.to(gradient.dtype))
        gradient = gradient + dropped * method.decay
    return gradient


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
