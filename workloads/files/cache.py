"""Where compiled code is kept from run to run, and whether what lies there may be loaded.

Code that is loaded runs with all the rights of the user, so a folder or a file counts only where nobody but this user,
or root, can have written it.
"""

import atexit
import os
import pwd
import shutil
import stat
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

from workloads.errors import UserError

OTHERS = stat.S_IWGRP | stat.S_IWOTH


@cache
def kept_folder(name: str) -> Path | None:
    """The folder for one kind of compiled code below the user's caches; None where there can be none.

    That is $XDG_CACHE_HOME, else ~/.cache, with the home of $HOME or of the passwd entry. A line on standard error
    says that nothing is kept.
    """
    base = _base()
    folder = None if base is None else base / "sparsehil" / name
    if folder is None or not _made(folder):
        _tell(f"{folder or 'the user has no home folder'}: nothing can be kept there")
        return None
    return folder


@cache
def cache_folder(name: str) -> Path:
    """The same, or a temporary folder of this process, which goes with it. Raises UserError where there is none."""
    if kept := kept_folder(name):
        return kept
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"sparsehil-{name}-"))
    except OSError as error:
        raise UserError(
            f"compiled code needs a folder, and none can be written: {error.strerror or error}; set XDG_CACHE_HOME"
        ) from None
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def is_trusted(status: os.stat_result, *owners: int) -> bool:
    """Whether a file or folder can have been written by this user, root or one of `owners` alone."""
    return status.st_uid in (os.getuid(), 0, *owners) and not status.st_mode & OTHERS


def _base() -> Path | None:
    if said := os.environ.get("XDG_CACHE_HOME"):
        return Path(said)
    if home := os.environ.get("HOME"):
        return Path(home) / ".cache"
    with suppress(KeyError):  # a container's user that nobody has entered
        return Path(pwd.getpwuid(os.getuid()).pw_dir) / ".cache"
    return None


def _made(folder: Path) -> bool:
    """Whether the folder is there, is ours, and takes a file."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not is_trusted(folder.stat()):
            return False
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


@cache
def _tell(reason: str) -> None:
    with suppress(OSError):
        print(f"simulate: note: compiled code lives for this run alone: {reason}", file=sys.stderr)
