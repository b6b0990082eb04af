"""Where what takes long to make is kept from one run to the next, in a folder that only this user can write."""

import atexit
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from workloads.errors import UserError
from workloads.terminal import note

OTHERS = stat.S_IWGRP | stat.S_IWOTH


def cache_folder(name: str) -> Path:
    """The folder for what is kept of one kind, in a folder `sparsehil` below $XDG_CACHE_HOME, else below ~/.cache.

    It belongs to this user, and nobody else can write it. Where there is none that can be had, it is one of this
    process, which goes with it, and a line on standard error says so. Raises UserError where there is not even that.
    """
    if lasting := lasting_folder(name):
        return lasting
    folder = folder_of_this_run() / name
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def lasting_folder(name: str) -> Path | None:
    """The same; None where there is no folder that outlives the process, which a line on standard error says."""
    for base in _bases():
        folder = base / "sparsehil" / name
        with suppress(OSError):
            base.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _private(folder.parent) and _private(folder):
                return folder
    _tell()
    return None


def is_trusted(found: os.stat_result, *owners: int) -> bool:
    """Whether a file or a folder can have been written by this user, root or one of `owners` alone."""
    return found.st_uid in (os.getuid(), 0, *owners) and not found.st_mode & OTHERS


def _bases() -> Iterator[Path]:
    """Folders for caches, the first choice first; a relative one does not count (XDG base directories, 0.8)."""
    stated = os.environ.get("XDG_CACHE_HOME", "")
    if stated.startswith("/"):
        yield Path(stated)
    homes = [os.environ.get("HOME", "")]
    with suppress(KeyError):  # a user without an entry
        homes.append(pwd.getpwuid(os.getuid()).pw_dir)
    for home in homes:
        if home.startswith("/") and os.path.isdir(home):  # noqa: PTH112 - Path's raises where a folder above is closed
            yield Path(home) / ".cache"


def _private(folder: Path) -> bool:
    """Whether a folder, which is made where it is missing, is this user's alone and can be written; it is made so."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.getuid():
        return False
    if found.st_mode & OTHERS:
        folder.chmod(0o700)
    return os.access(folder, os.W_OK | os.X_OK)


@cache
def folder_of_this_run() -> Path:
    """A folder that is removed when the process ends. Raises UserError where none can be had."""
    try:
        folder = tempfile.mkdtemp(prefix="sparsehil-")
    except OSError as error:
        said = "there is no folder for compiled code; set XDG_CACHE_HOME or TMPDIR to one that can be written"
        raise UserError(f"{said}: {error.strerror or error}") from None
    atexit.register(_remove, folder, os.getpid())
    return Path(folder)


@cache
def _tell() -> None:
    note(
        "simulate: note: no folder for caches can be written, so that compiled code is kept for this run alone; "
        "set XDG_CACHE_HOME to one that can"
    )


def _remove(folder: str, process: int) -> None:
    if os.getpid() == process:  # a fork has the same list of what is done at its end
        shutil.rmtree(folder, ignore_errors=True)
