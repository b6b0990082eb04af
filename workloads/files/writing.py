"""Writing: a file or a folder is made under another name in the same place, flushed, and then takes its own.

So a name stands for something whole at every moment, whatever happens to the program.
"""

import ctypes
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from workloads.errors import UserError
from workloads.files.partials import Owned, claimed, foreign

EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2)
AT_CWD = -100


@contextmanager
def new_file(path: Path, said: str = "", clean: bool = True, replace: bool = True) -> Iterator[Path]:
    """A file to be written, which takes the name `path` when the block ends, and is gone when that fails.

    said: the name in sentences, "--timeline t.json". clean: look for what killed processes left beside it; where a
    folder gets thousands of files, `clean_folder` looks once. replace: whether one that is there is replaced, and keeps
    who may read it. Raises UserError where it cannot be written, also for an error of the operating system inside the
    block.
    """
    said = said or str(path)
    check_file(path, said)
    partial, lock = None, -1
    try:
        partial, lock = claimed(path, None, clean)
        yield partial
        settle(partial)
        partial.chmod(_mode(path) if path.exists() else 0o666 & ~_umask())
        _name(partial, path, replace)
        settle(path.absolute().parent)
    except (OSError, UnicodeEncodeError) as error:
        raise not_written(said, error) from None
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)
            os.close(lock)


def write_bytes(path: Path, content: bytes, said: str = "", clean: bool = True, replace: bool = True) -> None:
    """Write a file, which appears whole or not at all. Raises UserError as `new_file` does."""
    with new_file(path, said, clean, replace) as partial:
        partial.write_bytes(content)


def write_text(path: Path, text: str, said: str = "", replace: bool = True) -> None:
    """Write a text file, which appears whole or not at all. Raises UserError as `new_file` does."""
    with new_file(path, said, replace=replace) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def new_folder(folder: Path, owned: Owned, force: bool = False, said: str = "") -> Iterator[Path]:
    """A folder to be filled, which takes its name when the block ends, and is gone when that fails.

    An older one is exchanged for it in one step, with `force`, and only where every name in it is `owned`. Raises
    UserError as `check_folder` does, where it cannot be written, and where the file system cannot exchange folders.
    """
    said = said or str(folder)
    check_folder(folder, owned, force, said)
    partial, lock = None, -1
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial, lock = claimed(folder, owned, True)
        if force and folder.exists():
            _check_exchange(partial, said)
        yield partial
        for path in sorted(partial.rglob("*")):
            settle(path)
        partial.chmod(0o777 & ~_umask())
        _put(partial, folder, owned, force, said)
        settle(folder.absolute().parent)
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
        if folder.name in ("", ".."):
            raise UserError(f"{said}: is a folder by its place alone; name it")
        if folder.is_mount():
            raise UserError(f"{said}: is a mount point, which cannot be exchanged; name a folder inside it")
        if not force and any(folder.iterdir()):
            raise UserError(f"{said}: is there already; choose another folder or add --force")
        if other := foreign(folder, owned):
            raise UserError(f"{said}: holds '{other}', which this program did not write; it is left alone")
    except (OSError, ValueError) as error:
        raise not_written(said, error) from None


def _check_name(path: Path, said: str) -> None:
    if "\0" in str(path):
        raise UserError(f"{said}: cannot be written: no name holds a NUL")


def not_written(said: str, error: Exception) -> UserError:
    """The sentence for an error of the operating system."""
    if isinstance(error, UnicodeEncodeError):
        return UserError(f"{said!a}: is not a name or a text that this system can write")
    reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    return UserError(f"{said}: cannot be written: {reason}")


def settle(path: Path) -> None:
    """Returns when a file, or the names in a folder, are on the disk: a rename must not be there before the content.

    Raises OSError where a file cannot be flushed. A folder is flushed where that can be done: not every file system
    knows how, and one that may be written need not be open to be read.
    """
    with suppress(OSError) if path.is_dir() else nullcontext():
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _name(partial: Path, path: Path, replace: bool) -> None:
    """Give a whole file its name. Raises FileExistsError where one has appeared that is not to be replaced."""
    if not replace:
        try:
            os.link(partial, path)  # a rename would replace it
            return
        except FileExistsError:
            raise
        except OSError:
            pass  # a file system without second names
    partial.replace(path)


def _put(partial: Path, folder: Path, owned: Owned, force: bool, said: str) -> None:
    """Give a whole folder its name; an older one is afterwards under the other name."""
    if not (force and folder.exists()):
        partial.rename(folder)  # fails where something lies there meanwhile; an empty folder is replaced
        return
    _exchange(partial, folder)
    if other := foreign(partial, owned):  # somebody put it there while we were at work
        _exchange(partial, folder)
        raise UserError(f"{said}: holds '{other}', which this program did not write; it is left alone")


def _exchange(one: Path, other: Path) -> None:
    """Let two folders change their names in one step. Raises OSError where the file system does not know how."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(other))
    if rename(AT_CWD, os.fsencode(one), AT_CWD, os.fsencode(other), EXCHANGE):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(other))


def _check_exchange(partial: Path, said: str) -> None:
    """Raises UserError where folders cannot be exchanged, which is better known before the work than after it.

    Two renames instead would leave a moment with neither the old folder nor the new one under the name.
    """
    one, other = partial / "one", partial / "other"
    one.mkdir()
    other.mkdir()
    try:
        _exchange(one, other)
    except OSError as error:
        raise UserError(
            f"{said}: is there already, and this file system cannot exchange a folder for another in one step "
            f"({error.strerror}); remove it, or choose another folder"
        ) from None
    finally:
        one.rmdir()
        other.rmdir()


def _forget(partial: Path, lock: int, owned: Owned) -> None:
    """Take away what has the other name: the new folder where it failed, or the older one that it has replaced."""
    with suppress(OSError):
        if partial.exists() and (os.path.samestat(partial.stat(), os.fstat(lock)) or foreign(partial, owned) is None):
            shutil.rmtree(partial, ignore_errors=True)
    os.close(lock)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _umask() -> int:
    mask = os.umask(0o077)  # it can be asked for only by setting it, for all threads: to one that lets nobody else in
    os.umask(mask)
    return mask
