"""What a training run is asked to do, as it stands in its folder. Needs no torch."""

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import final

from workloads.errors import UserError, unknown_name
from workloads.models.spec import DataKind, ModelSpec
from workloads.op import Optimizer

SCHEMA = 1
NAME = "run.json"
IMAGES, TEXTS = 128, 8  # a step, unless the user says otherwise
LARGEST_SEED = 2**32 - 1


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


def checked(settings: Settings) -> Settings:
    """The settings themselves. Raises UserError for a number out of range and for a name that nothing has."""
    at_least_one = (
        "limit",
        "image",
        "sequence",
        "epochs",
        "steps",
        "batch",
        "accumulate",
        "threads",
        "checkpoint_every",
    )
    for name in at_least_one:
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} {value}: must be at least 1")
    numbers = {"--lr": settings.learning_rate, "--decay": settings.decay, "--weight-decay": settings.weight_decay}
    for option, number in numbers.items():
        if number is not None and not 0 <= number < float("inf"):
            raise UserError(f"{option} {number:g}: must be 0 or more")
    if not 0 < settings.width < float("inf"):
        raise UserError(f"--width {settings.width:g}: must be above 0")
    if not 0 <= settings.seed <= LARGEST_SEED:
        raise UserError(f"--seed {settings.seed}: must lie between 0 and {LARGEST_SEED}")
    if settings.epochs is not None and settings.steps is not None:
        raise UserError("--epochs and --steps: give one of them")
    for option, given, known in (
        ("optimizer", settings.optimizer, [each.value for each in Optimizer]),
        ("schedule", settings.schedule, [each.value for each in Schedule]),
    ):
        if given is not None and given not in known:
            raise unknown_name(option, given, known, f"--{option}")
    return settings


def filled(settings: Settings, spec: ModelSpec, dataset: str) -> Settings:
    """The settings with the defaults of the model, so that a run can be repeated when those change."""
    return replace(
        settings,
        dataset=settings.dataset or dataset,
        batch=settings.batch or (IMAGES if spec.data is DataKind.IMAGES else TEXTS),
        learning_rate=spec.learning_rate if settings.learning_rate is None else settings.learning_rate,
        optimizer=settings.optimizer or spec.optimizer.value,
        epochs=1 if settings.epochs is None and settings.steps is None else settings.epochs,
    )


def settings_text(settings: Settings) -> str:
    """The settings as JSON."""
    return json.dumps({"schema": SCHEMA, "settings": asdict(settings)}, indent=1) + "\n"


def read_settings(folder: Path) -> Settings:
    """The settings of the run in a folder. Raises UserError where there is none."""
    from pydantic import TypeAdapter, ValidationError

    path = folder / NAME
    try:
        node = json.loads(path.read_text(encoding="utf-8"))
        settings = TypeAdapter(Settings).validate_python(node["settings"])
    except OSError as error:
        raise UserError(f"--resume {folder}: holds no training run: {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, ValidationError):
        raise UserError(f"--resume {folder}: {path} is not the description of a training run") from None
    return checked(settings)
