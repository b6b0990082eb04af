"""A training whose products, masks and updates happen on a backend: how it begins, and its engine.

The loss scale is fixed and a power of two. Gradients and states of the optimizer carry it, and constants take it out of
weights: momentum's rate is divided by it and its weight decay multiplied, AdamW's epsilon is multiplied. So weights are
those of the rule without a scale, but where a value leaves the range of FP32.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from workloads.errors import UserError
from workloads.models.spec import ModelSpec
from workloads.op import Optimizer
from workloads.training.attached import attached, check_layers
from workloads.training.backend import (
    Backend,
    Begin,
    Layer,
    Session,
    Single,
    States,
    UpdateRule,
    layers_of,
    load_backend,
)
from workloads.training.data import Batch
from workloads.training.layouts import matrix, weight_of
from workloads.training.loop import Training, trace_step
from workloads.training.meter import Meter
from workloads.training.reference import ReferenceBackend
from workloads.training.updates import AdamW, Engine, Momentum, Update
from workloads.workload import Workload


@final
@dataclass(frozen=True)
class Elsewhere:
    """A backend, the recorded step that a session of it is begun with, and the parameters that train."""

    backend: Backend
    step: Workload
    layers: Mapping[str, Layer]
    trained: tuple[str, ...]


def recorded_elsewhere(name: str, spec: ModelSpec, copied: Training, batch: Batch, data: str, seed: int) -> Elsewhere:
    """Record one step of a copy of a training for a backend. Raises UserError for a step that backends cannot do."""
    backend = load_backend(name)
    before = dict(copied.model.named_parameters())
    with torch.random.fork_rng(devices=[]):
        step = trace_step(spec, copied, batch, data, seed)
    trained = tuple(each for each, parameter in before.items() if parameter.grad is not None)
    try:
        layers = layers_of(step)
        check_layers(copied.model, layers)
    except UserError as error:
        raise UserError(f"--on {name}: {error}") from None
    for each in trained:
        if before[each].dtype is not torch.float32:
            raise UserError(f"--on {name}: parameter '{each}' is of {before[each].dtype}; backends update FP32 ones")
    return Elsewhere(backend, step, layers, trained)


def begin(training: Training, elsewhere: Elsewhere) -> "SessionEngine":
    """Begin a session from the training as it stands, and let it be the training's engine.

    Raises UserError for what the backend cannot do.
    """
    engine = SessionEngine(training, elsewhere)
    training.engine = engine
    return engine


@final
class SessionEngine(Engine):
    """Updates on a backend. Parameters of the model follow after every step, states of the optimizer when fetched."""

    keeps_scale = True

    def __init__(self, training: Training, elsewhere: Elsewhere) -> None:
        model, update = training.model, training.recipe.update
        parameters = dict(model.named_parameters())
        super().__init__(parameters.values(), update)
        self._model, self._elsewhere, self._scale = model, elsewhere, training.scale.scale
        self._trained = {name: parameters[name] for name in elsewhere.trained}
        self._of_layers = {layer.parameter: name for name, layer in elsewhere.layers.items()}
        self._gradients: dict[str, Single] = {}
        self.state.update(training.engine.state)
        self.session = self._begun(elsewhere.backend, self._known_states())
        self.meter = Meter(self.session)
        self.begun_after = training.step  # what the session tells is counted from there

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None, "gradients are computed before a step"
        settings = constants(self.update, self._scale, self.number)
        for name, parameter in self._trained.items():
            if parameter.grad is None:
                raise UserError(f"parameter '{name}': got a gradient in the first step, and none in step {self.number}")
            given = self._laid(name, parameter.grad)
            if name in self._of_layers:
                self._check(self._of_layers[name], given)
            self.session.update(name, None if name in self._of_layers else given, settings)
        for name, parameter in self._trained.items():
            parameter.copy_(self._shaped(name, self.session.weight(name)))

    def products(self, any_rows: bool = False) -> AbstractContextManager[None]:
        """any_rows: by the reference arithmetic, with the weights of the session, whatever its sizes are."""
        session = self._begun(ReferenceBackend(), {}) if any_rows else self.session
        return attached(self._model, self._elsewhere.layers, session, self._gradients, any_rows)

    @torch.no_grad()
    def fetch(self) -> None:
        for name, parameter in self._trained.items():
            found = self.session.states(name)
            self.state[parameter] = {key: self._shaped(name, each) for key, each in found.items()}

    def _check(self, layer: str, gradient: Single) -> None:
        """Raises UserError for a gradient that is not that of the product alone, which is all that a backend has."""
        if not np.array_equal(self._gradients[layer], gradient):
            raise UserError(
                f"layer '{layer}': its weight gets a gradient beside that of its product, as of a penalty in the loss, "
                "which a backend does not see; --weight-decay decays weights there"
            )

    def _begun(self, backend: Backend, states: States) -> Session:
        """A session of a backend from the weights that are here."""
        weights = {name: self._laid(name, parameter) for name, parameter in self._trained.items()}
        rule = UpdateRule(self.update.optimizer, self._scale)
        return backend.begin(Begin(self._elsewhere.step, weights, states, rule))

    def _known_states(self) -> States:
        return {
            name: {key: self._laid(name, each) for key, each in self.state[parameter].items()}
            for name, parameter in self._trained.items()
            if parameter in self.state
        }

    def _laid(self, name: str, values: Tensor) -> Single:
        """A copy of what belongs to a parameter, as a session has it: the weights of layers as matrices."""
        found: Single = values.detach().numpy()
        return np.array(matrix(found) if name in self._of_layers else found.reshape(-1))

    def _shaped(self, name: str, found: Single) -> Tensor:
        """The inverse of `_laid`."""
        shape = tuple(self._trained[name].shape)
        return torch.from_numpy(np.array(weight_of(found, shape) if name in self._of_layers else found.reshape(shape)))


def constants(update: Update, scale: float, step: int) -> dict[str, float]:
    """The settings of `rtl.lanes.constants` for gradients that carry a loss scale. step: counted from 1."""
    rate, decay = update.learning_rate, update.weight_decay
    if isinstance(update, Momentum):
        return {"learning_rate": rate / scale, "weight_decay": decay * scale, "momentum": update.momentum}
    assert isinstance(update, AdamW) and update.optimizer is Optimizer.ADAMW
    moments = {"beta1": update.beta1, "beta2": update.beta2, "epsilon": update.epsilon * scale}
    return {"learning_rate": rate, "weight_decay": decay, **moments, "step": float(step)}
