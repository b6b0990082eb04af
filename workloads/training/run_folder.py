"""The folder that a training run stands in: made, held, found unfinished. Needs no torch."""

import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import ClassVar, final

from workloads.errors import UserError
from workloads.files.locks import take
from workloads.files.reading import check_schema, checked, read_json
from workloads.files.writing import check_folder, new_folder, write_text
from workloads.op import CLOSED
from workloads.training.checkpoint_file import read_checkpoint
from workloads.training.run_log import check_log, more_columns
from workloads.training.settings import Settings, checked_settings

SCHEMA = 1
NAME, RESULT, WEIGHTS, MASKS = "run.json", "result.json", "weights.safetensors", "masks.safetensors"
TABLE = "backend.csv"
LATER = ("on", "alone", "loss_scale")  # settings that runs begun before backends do not have
OWN = r"run\.json|result\.json|checkpoint\.json|log\.csv|backend\.csv|(?:weights|masks|checkpoint-\d{6,})\.safetensors"
STEP = r"step-\d{6,}\.(?:json|safetensors)"
WHAT = "the description of a training run"


def owned(name: str) -> bool:
    """Whether a file of this name in a run's folder is the run's own."""
    return re.fullmatch(f"{OWN}|{STEP}", name) is not None


@final
@dataclass(frozen=True)
class Described:
    """What `run.json` holds."""

    schema: int
    settings: Settings

    __pydantic_config__: ClassVar[dict[str, str]] = CLOSED


def read_settings(folder: Path, option: str = "--resume ") -> Settings:
    """The settings of the run in a folder. Raises UserError, after what named it, where there is none."""
    path = folder / NAME
    if not path.exists():
        raise UserError(f"{option}{folder}: holds no training run: there is no file {path}")
    node = check_schema(read_json(path, f"{WHAT} is JSON"), str(path), SCHEMA, WHAT)
    given = node.get("settings")
    for field in fields(Settings):
        if isinstance(given, dict) and field.name not in given and field.name not in LATER:
            raise UserError(f"{path}: settings.{field.name}: is missing")
    return checked_settings(checked(Described, node, str(path), strict=True).settings)


def read_unfinished(folder: Path) -> Settings:
    """The settings of a run that can go on. Raises UserError where there is none or it came to its end."""
    settings = read_settings(folder)
    if (folder / RESULT).exists():
        raise UserError(f"--resume {folder}: this run came to its end; its result is in {folder / RESULT}")
    return settings


def check_resumable(folder: Path) -> None:
    """Everything that can be known of a run without torch, which takes seconds to be imported.

    Raises UserError where the run cannot go on: it came to its end, another process has it, or its checkpoint or its
    log is not what was written.
    """
    settings = read_unfinished(folder)
    with held(folder):
        checkpoint = read_checkpoint(folder)
        if checkpoint is not None:
            check_log(folder, checkpoint.step, more_columns(settings.on, settings.alone))


def check_run_folder(folder: Path, force: bool) -> None:
    """Raises UserError where a run may not be written: a folder in use, or anything that is not a run."""
    said, is_run = f"--out {folder}", (folder / NAME).exists()
    if is_run and not force:
        raise UserError(f"{said}: is there already; choose another folder, add --force, or use --resume")
    if force and not is_run and folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{said}: holds something that is not a training run; it is left alone")
    check_folder(folder, owned, force, said)
    if is_run:
        with held(folder):
            pass


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Raises UserError where another process trains in the folder; a killed one does not count."""
    path = folder / NAME
    try:
        lock = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UserError(f"{path}: cannot be opened: {error.strerror}") from None
    try:
        _take(lock, path, folder)
        yield
    finally:
        os.close(lock)


def _take(lock: int, path: Path, folder: Path) -> None:
    if not stat.S_ISREG(os.fstat(lock).st_mode):
        raise UserError(f"{path}: is not a regular file")
    try:
        ours = take(lock, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be locked, so nothing is trained there: {error.strerror}") from None
    if not ours:
        raise UserError(f"{folder}: another process is training there")


@contextmanager
def new_run(folder: Path, settings: Settings, force: bool) -> Iterator[None]:
    """Make a run's folder, with its settings in it, and hold it from the first moment on.

    An older run is held too while it is exchanged for the new one. Raises UserError as `check_run_folder` does.
    """
    check_run_folder(folder, force)
    text = json.dumps({"schema": SCHEMA, "settings": asdict(settings)}, indent=1) + "\n"
    with ExitStack() as new:
        with ExitStack() as old:
            if (folder / NAME).exists():
                old.enter_context(held(folder))
            with new_folder(folder, owned, force, f"--out {folder}") as partial:
                write_text(partial / NAME, text)
                new.enter_context(held(partial))
        yield
