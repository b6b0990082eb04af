"""A file that grows by a line of JSON at a time, so that a run that was killed goes on where it was.

The line that a kill has cut is dropped, and taken away so that the next one stands alone; any other damage is said. The
file itself is locked, by the operating system, so that a lock goes with its process and no second file is left behind.
"""

import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar, final

from workloads.errors import UserError
from workloads.files.limits import LINES_BYTES
from workloads.files.reading import MIB, parse_json
from workloads.files.writing import not_written

Line = TypeVar("Line")
FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe would wait


@final
class LineFile(Generic[Line]):
    """A file of lines, made where there is none, and held until it is closed. `found`: what `read` made of its lines.

    busy: what is said where another process holds it. damaged: what can be done about a file that is not whole. read:
    takes the values of a line and its place; UserError where they are wrong. Raises UserError for all three, and where
    the file cannot be read or written; then it stays as it is.
    """

    def __init__(self, path: Path, busy: str, damaged: str, read: Callable[[object, str], Line]) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = _opened(path, busy)
        except OSError as error:
            raise not_written(str(path), error) from None
        try:
            self.found = _whole_lines(self._descriptor, path, damaged, read)
        except BaseException:
            self.close()
            raise

    def append(self, values: Mapping[str, object]) -> None:
        """Write a line. It is on the disk on return, or not there at all: UserError where it cannot be written."""
        size = os.fstat(self._descriptor).st_size
        line = (json.dumps(values) + "\n").encode()
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
            os.fsync(self._descriptor)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._descriptor, size)
            raise not_written(str(self._path), error) from None

    def close(self) -> None:
        """Let go of the file; an empty one is taken away."""
        with suppress(OSError):
            if not os.fstat(self._descriptor).st_size:
                self._path.unlink()
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock of a file of lines for as long as another library writes it; waits for whoever has it.

    Raises UserError where it cannot be opened.
    """
    try:
        descriptor = _opened(path, "")
    except OSError as error:
        raise not_written(str(path), error) from None
    try:
        yield
    finally:
        os.close(descriptor)


def _opened(path: Path, busy: str) -> int:
    """The descriptor of a file, locked; waits for whoever has it where nothing is said of that."""
    while True:
        descriptor = os.open(path, FLAGS, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UserError(f"{path}: is not a regular file")
            fcntl.flock(descriptor, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise UserError(busy) from None
        except FileNotFoundError:  # whoever had it took it away: another one is made
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _whole_lines(descriptor: int, path: Path, damaged: str, read: Callable[[object, str], Line]) -> list[Line]:
    """What all whole lines hold; a last one that is not whole is taken away once the others are known to be right."""
    size = os.fstat(descriptor).st_size
    if size > LINES_BYTES:
        raise UserError(f"{path}: has more than {LINES_BYTES // MIB} MiB, which is the most that is read; {damaged}")
    with open(descriptor, "rb", closefd=False) as file:
        lines = file.read(size).splitlines(keepends=True)
    found: list[Line] = []
    for number, line in enumerate(lines, 1):
        place = f"{path}:{number}"
        try:
            if not line.endswith(b"\n"):
                raise UserError(f"{place}: does not end")
            node = parse_json(line.decode("utf-8"), place)
        except (UserError, UnicodeDecodeError):
            if number < len(lines):
                raise UserError(f"{place}: this line is damaged; {damaged}") from None
            os.ftruncate(descriptor, size - len(line))
            break
        found.append(read(node, place))
    return found
