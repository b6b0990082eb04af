"""What a training run is asked to do. Needs no torch."""

from dataclasses import dataclass, replace
from enum import StrEnum
from math import frexp
from pathlib import Path
from typing import ClassVar, final

from workloads.errors import UserError, unknown_name
from workloads.files.limits import LARGEST_WIDTH, TRAINING
from workloads.methods.base import Method
from workloads.methods.fields import asked_method, settable
from workloads.models.spec import DataKind, ModelSpec
from workloads.op import CLOSED, Optimizer
from workloads.pattern import parse_patterns
from workloads.registry import BACKENDS, MODELS, entry_of, names, split_target
from workloads.training.supported import check_method

IMAGES, TEXTS = 128, 8  # a step, unless the user says otherwise
LARGEST_SEED = 2**32 - 1
DEVICES = ("cpu", "cuda")
LOSS_SCALE = 2.0**10
LARGEST_SCALE = 2.0**24
DATA_SETS = ("digits", "fashion-mnist", "cifar10", "imagenet", "text")


class Schedule(StrEnum):
    COSINE = "cosine"  # down to 0 at the end of the run
    CONSTANT = "constant"


@final
@dataclass(frozen=True)
class Settings:
    """One training run. None: the model's or the data set's own; `filled` puts those in."""

    model: str
    method: str
    patterns: tuple[str, ...] = ()
    method_fields: tuple[str, ...] | None = None  # such as period=50
    dataset: str | None = None
    data_folder: str | None = None
    limit: int | None = None
    image: int | None = None
    sequence: int | None = None
    width: float = 1.0
    epochs: int | None = None
    steps: int | None = None
    batch: int | None = None
    accumulate: int | None = None  # parts of a batch; None: 1
    learning_rate: float | None = None
    schedule: str = Schedule.COSINE.value
    optimizer: str | None = None
    weight_decay: float = 1e-4
    decay: float | None = None
    mixed_precision: bool = False
    seed: int = 0
    threads: int = 1
    checkpoint_every: int = 100
    capture_at: tuple[int, ...] = ()
    data: str | None = None  # PACKAGE.MODULE:NAME of examples of the user's own, for a model of the user's own
    weights: str | None = None  # the file to start from
    device: str = "cpu"
    on: str = ""  # the backend that multiplies and updates, NAME or NAME:MACHINE; empty: torch
    alone: bool = False  # without the same training in torch beside a backend's
    loss_scale: float | None = None  # of a run on a backend, fixed; None: LOSS_SCALE

    __pydantic_config__: ClassVar[dict[str, str]] = CLOSED


def checked_settings(settings: Settings) -> Settings:
    """The settings themselves. Raises UserError for a number out of range and for a name that nothing has."""
    check_here()
    _check_numbers(settings)
    _check_own(settings)
    parse_patterns(list(settings.patterns))
    method_of(settings)
    for option, what, given, known in (
        ("optimizer", "optimizer", settings.optimizer, [each.value for each in Optimizer]),
        ("schedule", "schedule", settings.schedule, [each.value for each in Schedule]),
        ("dataset", "data set", settings.dataset, DATA_SETS),
        ("device", "device", settings.device, DEVICES),
    ):
        if given is not None and given not in known:
            raise unknown_name(what, given, known, f"--{option}")
    _check_on(settings)
    return settings


def is_own(settings: Settings) -> bool:
    """Whether the model is a module of the user's."""
    return ":" in settings.model


def _check_own(settings: Settings) -> None:
    """Raises UserError for a model that there is not, and for options that do not go with the kind of model."""
    if not is_own(settings):
        if "." in settings.model:
            raise UserError(f"--model {settings.model}: write PACKAGE.MODULE:NAME for a module of your own")
        entry_of(MODELS, "model", settings.model)
        if settings.data is not None:
            raise UserError(f"--data: {settings.model} trains on --dataset; --data goes with a --model PACKAGE:NAME")
        return
    split_target(settings.model)
    if settings.data is None:
        raise UserError(f"--data: say what {settings.model} trains on, for example --data mypackage:loader")
    split_target(settings.data)
    given = {
        "--dataset": settings.dataset,
        "--data-folder": settings.data_folder,
        "--limit": settings.limit,
        "--image": settings.image,
        "--sequence": settings.sequence,
        "--width": None if settings.width == 1 else settings.width,
    }
    for option, value in given.items():
        if value is not None:
            raise UserError(f"{option}: is for registered models and data; {settings.model} decides that by itself")
    if settings.mixed_precision:
        raise UserError(
            f"--mixed-precision: rounds the products of registered models; for {settings.model} put torch.autocast "
            "into its forward pass"
        )


def _check_on(settings: Settings) -> None:
    """Raises UserError for settings that do not go with a backend, or with none."""
    scale = settings.loss_scale
    if not settings.on:
        for option, given in (("--alone", settings.alone), ("--loss-scale", scale is not None)):
            if given:
                raise UserError(f"{option}: goes with a backend; name one with --on ({', '.join(names(BACKENDS))})")
        return
    said = f"--on {settings.on}"
    entry_of(BACKENDS, "backend", settings.on.partition(":")[0])
    check_method(method_of(settings), settings.on)
    refused = {
        "--accumulate": (settings.accumulate or 1) > 1 and "a backend makes one update for each product",
        "--device": settings.device != "cpu" and "what a backend does not do is done on the CPU",
        "--mixed-precision": settings.mixed_precision and "operands of a backend are FP16 anyway",
        "--capture-at": bool(settings.capture_at) and "one step is recorded anyway, before the first",
    }
    for option, reason in refused.items():
        if reason:
            raise UserError(f"{option}: does not go with {said}: {reason}")
    if settings.optimizer not in (None, Optimizer.MOMENTUM, Optimizer.ADAMW):
        raise UserError(f"--optimizer {settings.optimizer}: update engines have momentum and adamw")
    if scale is not None and not (1 <= scale <= LARGEST_SCALE and frexp(scale)[0] == 0.5):
        raise UserError(f"--loss-scale {scale:g}: must be a power of two from 1 to {LARGEST_SCALE:.0f}")


def check_here() -> None:
    """Raises UserError where the current folder is gone: torch's libraries end the process there."""
    try:
        Path.cwd()
    except OSError:
        raise UserError("the current folder is not there any more; change to another one") from None


def method_of(settings: Settings) -> Method:
    """The method with its fields and its decay set. Raises UserError for what it has no use for."""
    fields = settings.method_fields or ()
    method = asked_method(settings.method, bool(settings.patterns), fields)
    if settings.decay is None:
        return method
    if any(text.partition("=")[0].strip() == "decay" for text in fields):
        raise UserError("--decay and --set decay: give one of them")
    if "decay" not in settable(method):
        raise UserError(f"--decay {settings.decay:g}: method '{method.name}' has no dropped weights that could decay")
    return replace(method, decay=settings.decay)


def _check_numbers(settings: Settings) -> None:
    for name, most in TRAINING.items():
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} {value}: must be at least 1")
        if value is not None and value > most:
            raise UserError(f"--{name.replace('_', '-')} {value}: must be at most {most:,}")
    numbers = {"--lr": settings.learning_rate, "--decay": settings.decay, "--weight-decay": settings.weight_decay}
    for option, number in numbers.items():
        if number is not None and not 0 <= number < float("inf"):
            raise UserError(f"{option} {number:g}: must be 0 or more")
    if not 0 < settings.width <= LARGEST_WIDTH:
        raise UserError(f"--width {settings.width:g}: must be above 0, and at most {LARGEST_WIDTH:g}")
    if not 0 <= settings.seed <= LARGEST_SEED:
        raise UserError(f"--seed {settings.seed}: must lie between 0 and {LARGEST_SEED}")
    if settings.epochs is not None and settings.steps is not None:
        raise UserError("--epochs and --steps: give one of them")
    if any("\ud800" <= letter <= "\udfff" for letter in settings.data_folder or ""):
        raise UserError(f"--data-folder {settings.data_folder!a}: is not a name that a text file can hold")


def filled(settings: Settings, spec: ModelSpec, dataset: str) -> Settings:
    """The settings with the defaults of the model, so that a run can be repeated when those change."""
    return replace(
        settings,
        loss_scale=(settings.loss_scale or LOSS_SCALE) if settings.on else None,
        dataset=settings.dataset or dataset or None,
        batch=settings.batch or (TEXTS if spec.data is DataKind.BYTES else IMAGES),
        learning_rate=spec.learning_rate if settings.learning_rate is None else settings.learning_rate,
        optimizer=settings.optimizer or spec.optimizer.value,
        epochs=1 if settings.epochs is None and settings.steps is None else settings.epochs,
    )
