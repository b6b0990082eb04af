"""A training run from its settings to its result: steps, log, checkpoints, captured workloads, test accuracy.

A folder of a run holds `run.json` (what was asked), `log.csv`, a checkpoint, a workload for every step captured, and at
the end `weights.safetensors`, whose dropped weights are 0, the masks in `masks.safetensors`, and `result.json`. Every
file appears whole or not at all, so a run that was killed goes
on from its checkpoint.
"""

import json
import math
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import final

import torch
from torch import nn

from workloads.errors import UserError
from workloads.files.limits import SMALL_PIXELS, SMALL_TOKENS
from workloads.files.writing import write_text
from workloads.methods.fields import fitted, load_method
from workloads.models.loss import CrossEntropy
from workloads.models.spec import ModelSpec
from workloads.op import Optimizer
from workloads.pattern import parse_patterns
from workloads.recording.put_method import kept_of, readers_of, weights_that_run
from workloads.recording.record import versions
from workloads.recording.user_module import blamed_on, current_folder_first
from workloads.registry import MODELS, load_part
from workloads.samples import write_samples
from workloads.sparsity.finalize import finalize
from workloads.sparsity.mask_file import save_masks
from workloads.sparsity.masked_weight import masked_weights
from workloads.stored import template_of, write_template
from workloads.training.checkpoint import load_checkpoint, load_weights, save_checkpoint, write_tensors
from workloads.training.checkpoint_file import read_checkpoint
from workloads.training.checkpoint_tensors import weights_of
from workloads.training.data import Batch, batch_at, steps_an_epoch
from workloads.training.datasets import DataSet, Request, default_data, load_data
from workloads.training.devices import check_device, on_device
from workloads.training.elsewhere import Elsewhere, begin, recorded_elsewhere
from workloads.training.flips import flips, masks_of
from workloads.training.loop import Recipe, Training, called, trace_step
from workloads.training.loss_scale import LossScale
from workloads.training.memory import check_memory, least_of_step, memory_said
from workloads.training.own import OwnExamples, OwnLoss, own_data, own_model
from workloads.training.run_folder import MASKS, RESULT, WEIGHTS, held, new_run, read_unfinished
from workloads.training.run_log import NAME as LOG
from workloads.training.run_log import Log, Row, Show, more_columns, start_log
from workloads.training.sampling import Sampler
from workloads.training.scores import hits, tested_hits
from workloads.training.settings import Schedule, Settings, checked_settings, filled, is_own, method_of
from workloads.training.told import elsewhere_told, sentences, told_beside, told_by, write_table
from workloads.training.updates import update_for
from workloads.workload import Workload

SCHEMA = 1
STEP = "step-{:06d}.json"
SMALLER = "a smaller --batch, --image, --sequence or --width"


@final
@dataclass(frozen=True)
class Prepared:
    """Everything a run needs, before its first step."""

    settings: Settings
    spec: ModelSpec
    data: DataSet
    training: Training
    steps: int
    elsewhere: Elsewhere | None = None  # None: torch does it all


def prepare(wanted: Settings, fresh: bool = True) -> Prepared:
    """Read the data and build the model. fresh: no checkpoint follows, whose weights are those of the run.

    Raises UserError for whatever the user got wrong.
    """
    own = is_own(checked_settings(wanted))
    check_device(wanted.device)
    spec = own_model(wanted.model) if own else load_part(MODELS, "model", wanted.model, ModelSpec)
    settings = filled(wanted, spec, "" if own else default_data(spec))
    torch.set_num_threads(settings.threads)
    recipe = _recipe(settings, spec)  # before the data, which may take long to read
    data = _data(settings, spec)
    if isinstance(data.train, OwnExamples) and wanted.batch is None and data.train.batch:
        settings = replace(settings, batch=data.train.batch)
        recipe = _recipe(settings, spec)  # of which the parts depend on the batch
    assert settings.batch is not None
    epoch = steps_an_epoch(data.train, settings.batch)
    steps = settings.steps or (settings.epochs or 1) * epoch
    for step in settings.capture_at:
        if not 1 <= step <= steps:
            raise UserError(f"--capture-at {step}: the run has the steps 1 to {steps}")
    recipe = replace(recipe, method=fitted(recipe.method, steps))
    with memory_said(SMALLER):
        model = _built(settings, spec, data, recipe)
        if settings.weights and fresh:
            load_weights(model, Path(settings.weights))
        if own:
            recipe = _with_ends(recipe, model, batch_at(data.train, settings.batch, settings.seed, 0))
        loss = OwnLoss() if own else CrossEntropy()
        elsewhere = beside = None
        if settings.on:
            copied = Training(deepcopy(model), recipe, loss)
            first = batch_at(data.train, settings.batch, settings.seed, 0)
            elsewhere = recorded_elsewhere(settings.on, spec, copied, first, data.description, settings.seed)
            beside = None if settings.alone else Training(deepcopy(model), recipe, loss)
        training = Training(model.to(settings.device), recipe, loss, beside=beside)
    decay = recipe.method.decay
    asked = decay != load_method(settings.method).decay
    if asked and not training.sparse_layers:
        raise UserError(f"--decay {decay:g}: no weight is masked, so there is none that could decay")
    return Prepared(settings, spec, data, training, steps, elsewhere)


def _recipe(settings: Settings, spec: ModelSpec) -> Recipe:
    assert settings.optimizer is not None and settings.learning_rate is not None and settings.batch is not None
    update = update_for(Optimizer(settings.optimizer), settings.learning_rate, settings.weight_decay)
    parts = settings.accumulate or 1
    if settings.batch % parts:
        raise UserError(f"--accumulate {parts}: a batch of {settings.batch} cannot be cut into so many equal parts")
    patterns = parse_patterns(list(settings.patterns))
    method, kept = method_of(settings), spec.kept_dense
    if settings.loss_scale is not None:
        return Recipe(method, patterns, kept, update, True, LossScale(settings.loss_scale), fixed_scale=True)
    return Recipe(method, patterns, kept, update, settings.mixed_precision, parts=parts)


def _data(settings: Settings, spec: ModelSpec) -> DataSet:
    if settings.data is not None:
        return own_data(settings.data)
    assert settings.dataset is not None
    folder = Path(settings.data_folder) if settings.data_folder else None
    return load_data(Request(settings.dataset, folder, settings.limit, settings.image, settings.sequence), spec)


def _with_ends(recipe: Recipe, model: nn.Module, batch: Batch) -> Recipe:
    """The recipe with the layers of a user's module that stay dense unless named, found by running a copy of it once.

    These are the first and the last that multiply by a weight, and those that do not run.
    """
    with torch.random.fork_rng(devices=[]), blamed_on("--model: cannot run on a batch of --data"):
        ran = weights_that_run(copied := deepcopy(model), lambda: called(copied, batch[0]))
    return replace(recipe, kept_dense=kept_of(copied, ran), readers=readers_of(copied, ran))


def _built(settings: Settings, spec: ModelSpec, data: DataSet, recipe: Recipe) -> nn.Module:
    _check_size(settings, spec, data, recipe)
    torch.manual_seed(settings.seed)
    model = spec.build(settings.width, data.classes, data.image or None)
    if data.image:
        try:
            with torch.no_grad():
                model.eval()(torch.zeros(1, 3, data.image, data.image))
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"--image {data.image}: {spec.name} cannot take images of this side: {reason}") from None
    return model.train()


def _check_size(settings: Settings, spec: ModelSpec, data: DataSet, recipe: Recipe) -> None:
    """Raises UserError for a step that takes more memory than there is."""
    assert settings.batch is not None
    count, side = settings.batch // recipe.parts, data.image
    shape = (count, 3, side, side) if side else (count, settings.sequence or spec.sequence)
    small = math.prod(shape) <= (3 * SMALL_PIXELS if side else SMALL_TOKENS)
    if small and settings.width <= 1:
        return
    least = least_of_step(
        lambda: spec.build(settings.width, data.classes, side or None),
        lambda: torch.zeros(shape, dtype=torch.float32 if side else torch.int64),
        len(recipe.update.states),
    )
    check_memory(least, f"a step of {spec.name} at batch {settings.batch} and width {settings.width:g}")


@final
@dataclass(frozen=True)
class Outcome:
    """What a run came to. `right` of `tested` test examples (of tokens, in a text)."""

    folder: Path
    steps: int
    right: int
    tested: int
    beside: tuple[str, ...] = ()  # sentences on what a backend did, and on torch beside it

    @property
    def accuracy(self) -> float:
        return self.right / max(1, self.tested)


def start_run(settings: Settings, folder: Path, show: Show, force: bool = False) -> Outcome:
    """Train in a new folder. Raises UserError for a mistake, before the folder is made, and for a loss that is none."""
    with current_folder_first():
        prepared = prepare(settings)
        with _session(prepared), new_run(folder, prepared.settings, force):
            if prepared.elsewhere:
                _write_step(prepared, prepared.elsewhere.step, folder)
            return _train(prepared, folder, show, seconds=0.0)


def resume_run(folder: Path, show: Show) -> Outcome:
    """Go on from a folder's checkpoint. Raises UserError for a finished run and where the data has changed."""
    with held(folder), current_folder_first():
        prepared = prepare(read_unfinished(folder), fresh=read_checkpoint(folder) is None)
        found = load_checkpoint(prepared.training, folder)
        data = prepared.data.description
        if found and found.data != data:
            raise UserError(f"--resume {folder}: trained on '{found.data}', and now there is '{data}'")
        if found and found.step > prepared.steps:
            raise UserError(f"--resume {folder}: has made {found.step} steps, and the run has {prepared.steps}")
        with _session(prepared):
            return _train(prepared, folder, show, found.seconds if found else 0.0)


@contextmanager
def _session(prepared: Prepared) -> Iterator[None]:
    """While it is entered, the backend of a run, if it has one, multiplies and updates."""
    if prepared.elsewhere is None:
        yield
        return
    with closing(begin(prepared.training, prepared.elsewhere).session):
        yield


def _train(prepared: Prepared, folder: Path, show: Show, seconds: float) -> Outcome:
    training, settings, began = prepared.training, prepared.settings, time.perf_counter() - seconds
    start_log(folder, training.step, more_columns(settings.on, settings.alone))
    with closing(Log(folder)) as log, memory_said(SMALLER):
        while training.step < prepared.steps:
            row = _step(prepared, folder)
            log.add(row)
            if row.step % settings.checkpoint_every == 0 or row.step == prepared.steps:
                log.sync()
                write_table(training, folder)
                save_checkpoint(training, prepared.data.description, time.perf_counter() - began, folder)
            show(row, prepared.steps)
    return _finish(prepared, folder, time.perf_counter() - began)


def _step(prepared: Prepared, folder: Path) -> Row:
    training, settings = prepared.training, prepared.settings
    number, scale, before = training.step + 1, training.scale.scale, masks_of(training.model)
    assert settings.batch is not None
    batch = on_device(batch_at(prepared.data.train, settings.batch, settings.seed, training.step), settings.device)
    rate = _set_rate(prepared)
    same_chance = torch.random.fork_rng(devices=[], enabled=training.beside is not None)
    with same_chance:
        torch_told = told_beside(training, batch)
    loss = _capture(prepared, batch, folder) if number in settings.capture_at else training.run_step(batch)
    if not math.isfinite(loss):
        raise UserError(
            f"step {number}: the loss is {loss}, so the run ends here; a lower --lr than {settings.learning_rate:g} "
            f"may help (the steps before are in {folder / LOG})"
        )
    right, counted = map(sum, zip(*(hits(*each) for each in training.logits), strict=True))
    epoch = 1 + (number - 1) // steps_an_epoch(prepared.data.train, settings.batch)
    changed = flips(before, masks_of(training.model))
    more = told_by(training) | torch_told
    return Row(number, epoch, loss, right / max(1, counted), rate, scale, *changed, more)


def _set_rate(prepared: Prepared) -> float:
    """The learning rate of the step to come, put in force."""
    settings, training = prepared.settings, prepared.training
    assert settings.learning_rate is not None
    rate = settings.learning_rate
    if settings.schedule == Schedule.COSINE:
        rate *= (1 + math.cos(math.pi * training.step / prepared.steps)) / 2
    update = replace(training.recipe.update, learning_rate=rate)
    for each in (training, training.beside):
        if each is not None:
            each.recipe = replace(each.recipe, update=update)
    return rate


def _capture(prepared: Prepared, batch: Batch, folder: Path) -> float:
    """One step, recorded into the folder, in mixed precision with samples of its tensors. Returns its loss."""
    training, settings, spec = prepared.training, prepared.settings, prepared.spec
    sampler = Sampler(training, spec.kept_dense) if settings.mixed_precision else None
    watch = sampler.watch if sampler else None
    workload = trace_step(spec, training, batch, prepared.data.description, settings.seed, watch)
    digest = ""
    if sampler:
        digest = write_samples(
            sampler.samples(),
            {"step": training.step, **asdict(training.recipe.update)},
            (folder / STEP.format(training.step)).with_suffix(".safetensors"),
        )
    _write_step(prepared, replace(workload, samples=digest), folder)
    assert workload.capture.loss is not None
    return workload.capture.loss


def _write_step(prepared: Prepared, workload: Workload, folder: Path) -> None:
    width = prepared.settings.width
    narrow = f" at width {width:g}" if width != 1 else ""
    named = replace(workload, model=prepared.spec.name + narrow)
    write_template(template_of(named), folder / STEP.format(workload.capture.step))


def _finish(prepared: Prepared, folder: Path, seconds: float) -> Outcome:
    training, settings = prepared.training, prepared.settings
    assert settings.batch is not None
    with memory_said(SMALLER):
        right, tested = tested_hits(training, prepared.data.test, settings.batch, settings.seed, settings.device)
        beside = training.beside and tested_hits(
            training.beside, prepared.data.test, settings.batch, settings.seed, settings.device
        )
    told = elsewhere_told(training, settings, folder, beside) if settings.on else {}
    outcome = Outcome(folder, training.step, right, tested, sentences(told))
    result = {
        "schema": SCHEMA,
        "model": prepared.spec.name,
        "data": prepared.data.description,
        "steps": training.step,
        "test_accuracy": outcome.accuracy,
        "test_right": right,
        "test_examples": tested,
        "sparse_layers": training.sparse_layers,
        "parameters": sum(parameter.numel() for parameter in training.model.parameters()),
        "seconds": round(seconds, 3),
        "versions": versions(),
        "settings": asdict(settings),
        **told,
    }
    plain = training.model
    if training.sparse_layers:
        plain = finalize(training.model)
        if any(weight.masks is not None for _, weight in masked_weights(training.model)):
            save_masks(training.model, folder / MASKS)
    write_tensors(weights_of(plain), folder / WEIGHTS)
    write_text(folder / RESULT, json.dumps(result, indent=1) + "\n")
    return outcome
