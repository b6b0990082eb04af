"""Writing: a file or a folder is made under another name in the same place, flushed, and then takes its own.

So a name stands for something whole at every moment, whatever happens to the program. The other name cannot be guessed,
and is held by a lock of the operating system's, which goes with the process: what a killed one left behind is known by
that, and is taken away by the next that writes to the same name.
"""

import ctypes
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from workloads.errors import UserError

ENDING = ".partial"
HALF = re.compile(r"\.(.+)\.[\w-]{8}\.partial")
LETTERS = 8  # random ones, of 64 kinds: nobody makes such a name before we do
NAME_BYTES = 200  # of the name itself that go into the other one; a name has 255 at most
EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2)
AT_CWD = -100
Owned = Callable[[str], bool]  # whether a name in a folder is that of a file which the program writes there


@contextmanager
def new_file(path: Path, said: str = "", clean: bool = True) -> Iterator[Path]:
    """A file to be written, which takes the name `path` when the block ends, and is gone when that fails.

    said: the name in sentences, "--timeline t.json". clean: look for what killed processes left beside it; where a
    folder gets thousands of files, `clean_folder` looks once. Raises UserError where it cannot be written, also for an
    error of the operating system inside the block.
    """
    said = said or str(path)
    check_file(path, said)
    partial, lock = None, -1
    try:
        partial, lock = _claimed(path, None, clean)
        yield partial
        _settle(partial)
        partial.chmod(0o666 & ~_umask())
        partial.replace(path)
    except (OSError, UnicodeEncodeError) as error:
        raise not_written(said, error) from None
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)
            os.close(lock)


def write_bytes(path: Path, content: bytes, said: str = "", clean: bool = True) -> None:
    """Write a file, which appears whole or not at all. Raises UserError as `new_file` does."""
    with new_file(path, said, clean) as partial:
        partial.write_bytes(content)


def write_text(path: Path, text: str, said: str = "") -> None:
    """Write a text file, which appears whole or not at all. Raises UserError as `new_file` does."""
    with new_file(path, said) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def new_folder(folder: Path, owned: Owned, force: bool = False, said: str = "") -> Iterator[Path]:
    """A folder to be filled, which takes its name when the block ends, and is gone when that fails.

    An older one is exchanged for it in one step, with `force`, and only where every name in it is `owned`. Raises
    UserError as `check_folder` does, and where it cannot be written.
    """
    said = said or str(folder)
    check_folder(folder, owned, force, said)
    partial, lock = None, -1
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial, lock = _claimed(folder, owned, True)
        yield partial
        for path in sorted(partial.rglob("*")):
            if path.is_file():
                _settle(path)
        partial.chmod(0o777 & ~_umask())
        _put(partial, folder, owned, force, said)
    except (OSError, UnicodeEncodeError) as error:
        raise not_written(said, error) from None
    finally:
        if partial is not None:
            _forget(partial, lock, owned)


def check_file(path: Path, said: str) -> None:
    """Raises UserError where no file can have this name: a folder or a link is there, or there is no folder for it."""
    _check_name(path, said)
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        if not path.absolute().parent.is_dir():
            raise UserError(f"{said}: there is no folder '{path.parent}'") from None
        return
    except (OSError, ValueError) as error:
        raise not_written(said, error) from None
    if stat.S_ISLNK(mode):
        raise UserError(f"{said}: is a link; name the file itself")
    if not stat.S_ISREG(mode):
        raise UserError(f"{said}: is {'a folder' if stat.S_ISDIR(mode) else 'not a regular file'}; name a file")


def check_new(path: Path, force: bool, said: str) -> None:
    """Raises UserError where a file cannot have this name, or where one is there already and `force` is not given."""
    check_file(path, said)
    if path.exists() and not force:
        raise UserError(f"{said}: is there already; choose another name or add --force")


def check_folder(folder: Path, owned: Owned, force: bool, said: str) -> None:
    """Raises UserError where a folder may not be written: one in use, or one with files that are not the program's."""
    _check_name(folder, said)
    try:
        if folder.is_symlink():
            raise UserError(f"{said}: is a link; name the folder itself")
        if not os.path.lexists(folder):
            return
        if not folder.is_dir():
            raise UserError(f"{said}: is a file; name a folder")
        if not force:
            raise UserError(f"{said}: is there already; choose another folder or add --force")
        if folder.name in ("", ".."):
            raise UserError(f"{said}: is a folder by its place alone; name it")
        if other := _foreign(folder, owned):
            raise UserError(f"{said}: holds '{other}', which this program did not write; it is left alone")
    except (OSError, ValueError) as error:
        raise not_written(said, error) from None


def _check_name(path: Path, said: str) -> None:
    if "\0" in str(path):
        raise UserError(f"{said}: cannot be written: no name holds a NUL")


def remove_folder(folder: Path, owned: Owned) -> None:
    """Remove the program's own files from a folder, and the folder itself where nothing else is in it."""
    if not folder.is_dir() or folder.is_symlink():
        return
    if _foreign(folder, owned) is None:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for path in folder.iterdir():
        if owned(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def clean_folder(folder: Path) -> None:
    """Take away what killed processes left in a folder in which only the program writes files."""
    _clean(folder, ".", None, None)


def not_written(said: str, error: Exception) -> UserError:
    """The sentence for an error of the operating system."""
    if isinstance(error, UnicodeEncodeError):
        return UserError(f"{said!a}: is not a name or a text that this system can write")
    reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    return UserError(f"{said}: cannot be written: {reason}")


def _claimed(path: Path, owned: Owned | None, clean: bool) -> tuple[Path, int]:
    """A new file beside `path`, a folder where it is said what is owned in one, and the descriptor with its lock."""
    if clean:
        start = _stem(path)
        _clean(path.absolute().parent, start, len(start) + LETTERS + len(ENDING), owned)
    while True:
        partial = path.with_name(f"{_stem(path)}{secrets.token_urlsafe(LETTERS)[:LETTERS]}{ENDING}")
        try:
            if owned:
                partial.mkdir(mode=0o700)
                lock = os.open(partial, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            else:
                lock = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        with suppress(OSError):  # a file system without locks: what is left there by a kill stays
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with suppress(FileNotFoundError):  # somebody took it for a dead one's before it was locked
            if os.path.samestat(partial.lstat(), os.fstat(lock)):
                return partial, lock
        os.close(lock)


def _clean(folder: Path, start: str, length: int | None, owned: Owned | None) -> None:
    """Take away what killed processes left: ours by its name (of that length) and its owner, and held by nobody."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in list(entries):
            if not (entry.name.startswith(start) and HALF.fullmatch(entry.name)):
                continue
            if length is not None and len(entry.name) != length:
                continue
            if entry.is_symlink() or entry.is_dir(follow_symlinks=False) != bool(owned):
                continue
            if entry.stat(follow_symlinks=False).st_uid == os.getuid():
                _take_away(Path(entry.path), owned)


def _take_away(partial: Path, owned: Owned | None) -> None:
    with suppress(OSError):
        lock = os.open(partial, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if owned:
                remove_folder(partial, owned)
            else:
                partial.unlink(missing_ok=True)
        finally:
            os.close(lock)


def _stem(path: Path) -> str:
    """What the other name of a path begins with."""
    return f".{os.fsdecode(os.fsencode(path.name)[:NAME_BYTES])}."


def _settle(path: Path) -> None:
    """Returns when a file is on the disk: a rename must not arrive there before the content."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put(partial: Path, folder: Path, owned: Owned, force: bool, said: str) -> None:
    """Give a whole folder its name; an older one is afterwards under the other name."""
    if not (force and folder.exists()):
        partial.rename(folder)  # fails where somebody else's has appeared meanwhile
        return
    _exchange(partial, folder)
    if other := _foreign(partial, owned):  # somebody put it there while we were at work
        _exchange(partial, folder)
        raise UserError(f"{said}: holds '{other}', which this program did not write; it is left alone")


def _exchange(one: Path, other: Path) -> None:
    """Let two folders change their names, in one step where the file system knows how."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is not None and not rename(AT_CWD, os.fsencode(one), AT_CWD, os.fsencode(other), EXCHANGE):
        return
    failed = ctypes.get_errno() if rename is not None else errno.ENOSYS
    if failed not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(failed, os.strerror(failed), str(other))
    aside = one.with_name(f"{one.name}.old")  # for a moment neither is there: a file system that cannot do better
    other.rename(aside)
    try:
        one.rename(other)
    except OSError:
        aside.rename(other)
        raise
    aside.rename(one)


def _forget(partial: Path, lock: int, owned: Owned) -> None:
    """Take away what has the other name: the new folder where it failed, or the older one that it has replaced."""
    with suppress(OSError):
        if partial.exists() and (os.path.samestat(partial.stat(), os.fstat(lock)) or _foreign(partial, owned) is None):
            shutil.rmtree(partial, ignore_errors=True)
    os.close(lock)


def _foreign(folder: Path, owned: Owned) -> str | None:
    """The first name in a folder, and in those inside it, that is not the program's: a killed one's halves are."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        half = HALF.fullmatch(path.name)
        whole = name if half is None else (path.relative_to(folder).parent / half[1]).as_posix()
        if path.is_symlink() or not (owned(name) or owned(whole) or path.is_dir()):
            return name
    return None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
