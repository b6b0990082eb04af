"""The name that a file or a folder has until it is whole: who holds it, and what a killed process left under one.

The name cannot be guessed, and what has it is held by a lock that goes with its process. What nobody holds was left
behind, and is taken away by the next that writes to the same name.
"""

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from workloads.files.locks import take

ENDING = ".partial"
HALF = re.compile(r"\.(.+)\.[\w-]{8}\.partial")
LETTERS = 8  # random ones, of 64 kinds: nobody makes such a name before we do
NAME_BYTES = 200  # of the name itself that go into the other one; a name has 255 at most
Owned = Callable[[str], bool]  # whether a name in a folder is that of a file which the program writes there


def claimed(path: Path, owned: Owned | None, clean: bool) -> tuple[Path, int]:
    """A new file beside `path`, a folder where it is said what is owned in one, and the descriptor with its lock."""
    if clean:
        start = _stem(path)
        clean_up(path.absolute().parent, start, len(start) + LETTERS + len(ENDING), owned)
    while True:
        partial = path.with_name(f"{_stem(path)}{secrets.token_urlsafe(LETTERS)[:LETTERS]}{ENDING}")
        try:
            if owned:
                partial.mkdir(mode=0o700)
            else:
                os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            continue
        # Until it is locked, another process may take it for a dead one's and take it away: then there is a next one.
        with suppress(FileNotFoundError):
            lock = _opened(partial, folder=bool(owned))
            with suppress(OSError):  # a file system without locks: what is left there by a kill stays
                if not take(lock, partial):
                    os.close(lock)
                    continue
            return partial, lock


def _opened(partial: Path, folder: bool) -> int:
    """A descriptor that can be locked. A folder's cannot be written; on a network file system it has no lock then."""
    flags = os.O_RDONLY | os.O_DIRECTORY if folder else os.O_RDWR | os.O_NONBLOCK
    return os.open(partial, flags | os.O_NOFOLLOW | os.O_CLOEXEC)


def clean_up(folder: Path, start: str, length: int | None, owned: Owned | None) -> None:
    """Take away what killed processes left: ours by its name (of that length) and its owner, and held by nobody."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in list(entries):
            if not (entry.name.startswith(start) and HALF.fullmatch(entry.name)):
                continue
            if length is not None and len(entry.name) != length:
                continue
            kind = entry.is_dir if owned else entry.is_file
            if kind(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.getuid():
                _take_away(Path(entry.path), owned)


def _take_away(partial: Path, owned: Owned | None) -> None:
    with suppress(OSError):
        lock = _opened(partial, folder=bool(owned))
        try:
            if not take(lock, partial):
                return
            if owned:
                remove_folder(partial, owned)
            else:
                partial.unlink(missing_ok=True)
        finally:
            os.close(lock)


def _stem(path: Path) -> str:
    """What the other name of a path begins with."""
    return f".{os.fsdecode(os.fsencode(path.name)[:NAME_BYTES])}."


def clean_folder(folder: Path) -> None:
    """Take away what killed processes left in a folder in which only the program writes files."""
    clean_up(folder, ".", None, None)


@contextmanager
def work_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` for what goes again afterwards; those of killed processes go with it.

    For a folder in which only the program writes. Raises OSError where it cannot be made.
    """
    clean_up(path.parent, ".", None, _anything)
    partial, lock = claimed(path, _anything, False)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(lock)


def _anything(_: str) -> bool:
    return True


def remove_folder(folder: Path, owned: Owned) -> None:
    """Remove the program's own files from a folder, and the folder itself where nothing else is in it.

    What cannot be removed stays.
    """
    with suppress(OSError):
        if not folder.is_dir() or folder.is_symlink():
            return
        if foreign(folder, owned) is None:
            shutil.rmtree(folder, ignore_errors=True)
            return
        for path in folder.iterdir():
            if _is_own(path.name, owned) and path.is_file():
                path.unlink(missing_ok=True)


def foreign(folder: Path, owned: Owned) -> str | None:
    """The first name in a folder, and in those inside it, that is not the program's: a killed one's halves are.

    A wrong folder may hold a whole disk, so the files beside each other come first and the first foreign one ends it.
    Raises OSError for a folder that cannot be listed.
    """
    for place, folders, files in os.walk(folder, onerror=_fail):
        folders.sort()
        for path in (Path(place, name) for name in [*sorted(files), *folders]):
            name = path.relative_to(folder).as_posix()
            if path.is_symlink() or not (path.is_dir() or _is_own(name, owned)):
                return name
    return None


def _fail(error: OSError) -> None:
    raise error


def _is_own(name: str, owned: Owned) -> bool:
    """Whether a name in a folder, with / between folders, is the program's: what a killed process left of one is."""
    place, _, last = name.rpartition("/")
    half = HALF.fullmatch(last)
    return owned(name) or (half is not None and owned(f"{place}/{half[1]}" if place else half[1]))
