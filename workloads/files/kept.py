"""What takes long to make and is kept from one run to the next, as long as it is still what was kept.

Compiled code is run as it is, so that an entry is believed only where nobody but its owner could write it, and where
the very bytes that are handed on have the digest that they were kept with. Anything else is made again.
"""

import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from filelock import FileLock, Timeout

from workloads.errors import UserError
from workloads.files.cache import folder_of_this_run, is_trusted
from workloads.files.partials import work_folder
from workloads.files.reading import checked, parse_json
from workloads.files.writing import not_written, write_bytes
from workloads.terminal import note

# Bytes of one file of an entry: the largest compiled array has 20 MB, the largest report of a placer 60 MB.
CACHED_BYTES = 256 * 1024 * 1024
# Seconds that another process may take to make an entry; then it is made here as well, and both are right.
PATIENCE = 600
DIGESTS = "digests.json"


@dataclass(frozen=True)
class Digests:
    """What an entry says of itself: its name, and the SHA-256 of its files by name."""

    key: str
    files: dict[str, str]


@dataclass(frozen=True)
class Kept:
    """An entry: where it is, and its files by name as they were when their digests were right."""

    folder: Path
    content: Mapping[str, bytes]


def kept(folder: Path, key: str, names: Sequence[str], make: Callable[[Path], None]) -> Kept:
    """The files `names` of the entry `key` below a folder; where it is not whole, `make` makes them in a new folder.

    Two processes that want the same entry make it one after the other, and the second finds it. Raises UserError where
    nothing can be written.
    """
    entry = folder / key
    if (found := _whole(entry, names)) is not None:
        return Kept(entry, found)
    with _sentences(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(folder / f"{key}.lock"):
        if (found := _whole(entry, names)) is not None:
            return Kept(entry, found)
        with ExitStack() as stack:
            with _sentences(folder):
                work = stack.enter_context(work_folder(entry))
            make(work)  # says itself what it lacks
            with _sentences(folder):
                return _keep(entry, {name: (work / name).read_bytes() for name in names})


def _whole(entry: Path, names: Sequence[str]) -> dict[str, bytes] | None:
    """The files of an entry; None where one is missing, could have been written by others, or has another digest."""
    try:
        found = entry.lstat()
        if not stat.S_ISDIR(found.st_mode) or not is_trusted(found):
            return None
        said = checked(Digests, parse_json(_own_bytes(entry / DIGESTS).decode(), DIGESTS), DIGESTS)
        content = {name: _own_bytes(entry / name) for name in names}
    except (OSError, ValueError, UserError):
        return None
    right = said.key == entry.name and all(said.files.get(name) == _digest(each) for name, each in content.items())
    return content if right else None


def _own_bytes(path: Path) -> bytes:
    """The content of a file that only its owner can write, this user or root.

    Raises PermissionError for another, for what is no regular file, and for a larger one than an entry has.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or not is_trusted(found) or found.st_size > CACHED_BYTES:
            raise PermissionError(f"{path}: is not what was kept")
        return file.read(CACHED_BYTES)


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def _keep(entry: Path, content: Mapping[str, bytes]) -> Kept:
    """Write an entry, its digests last; in the folder of this run where something else has its name for good."""
    said = asdict(Digests(entry.name, {name: _digest(each) for name, each in content.items()}))
    try:
        _write(entry, {**content, DIGESTS: json.dumps(said, indent=2).encode()})
    except (OSError, UserError):
        entry = folder_of_this_run() / entry.name
        _write(entry, {**content, DIGESTS: json.dumps(said, indent=2).encode()})
    return Kept(entry, content)


def _write(entry: Path, files: Mapping[str, bytes]) -> None:
    _clear(entry, stat.S_ISDIR)
    entry.mkdir(mode=0o700, exist_ok=True)
    entry.chmod(0o700)  # of another user's that fails
    for name, content in files.items():
        path = entry / name
        _clear(path, stat.S_ISREG)
        write_bytes(path, content)
        path.chmod(0o600)  # whatever the mask lets others write


def _clear(path: Path, wanted: Callable[[int], bool]) -> None:
    """Take away what has a name and is not of the wanted kind. Raises OSError for a folder, which is left alone."""
    with suppress(FileNotFoundError):
        if not wanted(path.lstat().st_mode):
            path.unlink()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time. Raises UserError where the lock cannot be written.

    The file stays: were it taken away, one that waits for it and one that makes it anew would both hold a lock.
    """
    lock = FileLock(path, mode=0o600)
    try:
        try:
            lock.acquire(timeout=1)
        except Timeout:
            note("simulate: note: another process is making the same entry of the cache; waiting for it")
            lock.acquire(timeout=PATIENCE)
    except (Timeout, NotImplementedError):
        pass  # the other has stopped, or its machine has; a file system without locks
    except OSError as error:
        raise not_written(str(path), error) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _sentences(folder: Path) -> Iterator[None]:
    """Failures of the operating system as UserError."""
    try:
        yield
    except OSError as error:
        raise not_written(str(error.filename or folder), error) from None
