"""The folder of a training run: making it, and finding out whether it can go on."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workloads.errors import UserError
from workloads.training.settings import NAME, Settings, read_settings, settings_text

RESULT = "result.json"


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
        (partial / NAME).write_text(settings_text(settings), encoding="utf-8")
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
