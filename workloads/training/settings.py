"""What a training run is asked to do, and the folder it stands in: made, held, found unfinished. Needs no torch."""

import fcntl
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import final

from pydantic import TypeAdapter, ValidationError

from workloads.errors import UserError, unknown_name
from workloads.methods.base import Method
from workloads.methods.fields import asked_method, settable
from workloads.models.spec import DataKind, ModelSpec
from workloads.op import Optimizer
from workloads.pattern import parse_patterns
from workloads.registry import MODELS, entry_of

SCHEMA = 1
NAME, RESULT = "run.json", "result.json"
IMAGES, TEXTS = 128, 8  # a step, unless the user says otherwise
LARGEST_SEED = 2**32 - 1
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


def checked_settings(settings: Settings) -> Settings:
    """The settings themselves. Raises UserError for a number out of range and for a name that nothing has."""
    _check_numbers(settings)
    entry_of(MODELS, "model", settings.model)
    parse_patterns(list(settings.patterns))
    method_of(settings)
    for option, what, given, known in (
        ("optimizer", "optimizer", settings.optimizer, [each.value for each in Optimizer]),
        ("schedule", "schedule", settings.schedule, [each.value for each in Schedule]),
        ("dataset", "data set", settings.dataset, DATA_SETS),
    ):
        if given is not None and given not in known:
            raise unknown_name(what, given, known, f"--{option}")
    return settings


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


def read_settings(folder: Path) -> Settings:
    """The settings of the run in a folder. Raises UserError where there is none."""
    path = folder / NAME
    try:
        node = json.loads(path.read_text(encoding="utf-8"))
        settings = TypeAdapter(Settings).validate_python(node["settings"])
    except OSError as error:
        raise UserError(f"--resume {folder}: holds no training run: {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, ValidationError):
        raise UserError(f"--resume {folder}: {path} is not the description of a training run") from None
    return checked_settings(settings)


def check_run_folder(folder: Path, force: bool) -> None:
    """Raises UserError where a run may not be written: a folder in use, or anything that is not a run."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"--out {folder}: is a file; a run is a folder")
    if not force:
        raise UserError(f"--out {folder}: is there already; choose another folder, add --force, or use --resume")
    if not (folder / NAME).exists() and any(folder.iterdir()):
        raise UserError(f"--out {folder}: holds something that is not a training run; it is left alone")
    if (folder / NAME).exists():
        with held(folder):
            pass


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Raises UserError where another process trains in the folder; a killed one does not count."""
    with (folder / NAME).open(encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: another process is training there") from None
        yield


def make_folder(folder: Path, settings: Settings, force: bool) -> None:
    """Make a run's folder, with its settings in it from the first moment on."""
    check_run_folder(folder, force)
    partial = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        text = json.dumps({"schema": SCHEMA, "settings": asdict(settings)}, indent=1) + "\n"
        (partial / NAME).write_text(text, encoding="utf-8")
        partial.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    except OSError as error:
        if partial:
            shutil.rmtree(partial, ignore_errors=True)
        raise UserError(f"--out {folder}: cannot be written: {error.strerror or error}") from None


def read_unfinished(folder: Path) -> Settings:
    """The settings of a run that can go on. Raises UserError where there is none or it came to its end."""
    settings = read_settings(folder)
    if (folder / RESULT).exists():
        raise UserError(f"--resume {folder}: this run came to its end; its result is in {folder / RESULT}")
    return settings
