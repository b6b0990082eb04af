"""A file that grows by a line of JSON at a time, so that a run that was killed goes on where it was.

A last line without its end is that of a kill: it is dropped, and taken away so that the next one stands alone. Any
other damage is said. The file itself is locked, so that no second file is left behind.
"""

import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar, final

from workloads.errors import UserError
from workloads.files.limits import LINE_BYTES, LINES_BYTES
from workloads.files.locks import take
from workloads.files.reading import MIB, parse_json
from workloads.files.writing import not_written, settle

Line = TypeVar("Line")
# What a cut line of ours begins with: a mapping, or what a file system shows where a power cut left a length and no
# content. Anything else that has no end is somebody else's.
BEGINNINGS = (b"{", b"\0", b"")
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
            settle(path.parent)
        except OSError as error:
            raise not_written(str(path), error) from None
        try:
            self.found = list(_whole_lines(self._descriptor, path, damaged, read))
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


def _opened(path: Path, busy: str) -> int:
    descriptor = os.open(path, FLAGS, 0o666)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UserError(f"{path}: is not a regular file")
        if not take(descriptor, path):
            raise UserError(busy)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _whole_lines(descriptor: int, path: Path, damaged: str, read: Callable[[object, str], Line]) -> Iterator[Line]:
    """What all whole lines hold; a last one that has no end is taken away once the others are known to be right."""
    size, whole = os.fstat(descriptor).st_size, 0
    if size > LINES_BYTES:
        raise UserError(f"{path}: has more than {LINES_BYTES // MIB} MiB, which is the most that is read; {damaged}")
    with open(descriptor, "rb", closefd=False) as file:
        for number in count(1):
            line, place = file.readline(LINE_BYTES), f"{path}:{number}"
            if whole + len(line) == size and line[:1] in BEGINNINGS and not line.endswith(b"\n"):
                os.ftruncate(descriptor, whole)
                return
            try:
                if not line.endswith(b"\n"):
                    raise UserError(f"{place}: has no end")
                node = parse_json(line.decode("utf-8"), place)
            except (UserError, UnicodeDecodeError):
                raise UserError(f"{place}: this line is damaged; {damaged}") from None
            yield read(node, place)
            whole += len(line)
