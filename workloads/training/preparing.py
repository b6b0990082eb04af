"""From the settings of a run to its data, its model and its method, before the first step."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import torch
from torch import nn

from workloads.errors import UserError
from workloads.methods.fields import fitted, load_method
from workloads.models.spec import ModelSpec
from workloads.op import Optimizer
from workloads.pattern import parse_patterns
from workloads.registry import MODELS, load_part
from workloads.training.datasets import DataSet, Request, default_data, load_data
from workloads.training.examples import steps_an_epoch
from workloads.training.loop import Recipe, Training
from workloads.training.settings import Settings, checked_settings, filled, method_of
from workloads.training.sparsify import method_layers
from workloads.training.updates import update_for


@final
@dataclass(frozen=True)
class Prepared:
    """Everything a run needs, before its first step."""

    settings: Settings
    spec: ModelSpec
    data: DataSet
    training: Training
    steps: int


def prepare(wanted: Settings) -> Prepared:
    """Read the data and build the model. Raises UserError for whatever the user got wrong."""
    spec = load_part(MODELS, "model", checked_settings(wanted).model, ModelSpec)
    settings = filled(wanted, spec, default_data(spec))
    torch.set_num_threads(settings.threads)
    recipe = _recipe(settings, spec)  # before the data, which may take long to read
    data = load_data(_request(settings), spec)
    assert settings.batch is not None and settings.dataset is not None
    steps = settings.steps or (settings.epochs or 1) * steps_an_epoch(data.train, settings.batch)
    for step in settings.capture_at:
        if not 1 <= step <= steps:
            raise UserError(f"--capture-at {step}: the run has the steps 1 to {steps}")
    torch.manual_seed(settings.seed)
    recipe = replace(recipe, method=fitted(recipe.method, steps))
    training = Training(_built(settings, spec, data), recipe)
    decay = recipe.method.decay
    asked = decay != load_method(settings.method).decay
    if asked and all(layer.masks is None for _, layer in method_layers(training.model)):
        raise UserError(f"--decay {decay:g}: no weight is masked, so there is none that could decay")
    return Prepared(settings, spec, data, training, steps)


def _request(settings: Settings) -> Request:
    assert settings.dataset is not None
    folder = Path(settings.data_folder) if settings.data_folder else None
    return Request(settings.dataset, folder, settings.limit, settings.image, settings.sequence)


def _recipe(settings: Settings, spec: ModelSpec) -> Recipe:
    assert settings.optimizer is not None and settings.learning_rate is not None and settings.batch is not None
    update = update_for(Optimizer(settings.optimizer), settings.learning_rate, settings.weight_decay)
    parts = settings.accumulate or 1
    if settings.batch % parts:
        raise UserError(f"--accumulate {parts}: a batch of {settings.batch} cannot be cut into so many equal parts")
    patterns = parse_patterns(list(settings.patterns))
    return Recipe(method_of(settings), patterns, spec.kept_dense, update, settings.mixed_precision, parts=parts)


def _built(settings: Settings, spec: ModelSpec, data: DataSet) -> nn.Module:
    model = spec.build(settings.width, data.classes, data.image or None)
    if data.image:
        try:
            with torch.no_grad():
                model.eval()(torch.zeros(1, 3, data.image, data.image))
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"--image {data.image}: {spec.name} cannot take images of this side: {reason}") from None
    return model.train()
