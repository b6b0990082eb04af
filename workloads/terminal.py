"""What is said on a terminal: names from outside are escaped, sentences cut; a broken standard error costs nothing."""

import os
import select
import sys
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

from workloads.errors import plain
from workloads.files.limits import SENTENCE_LETTERS


def cut(sentence: str) -> str:
    """A sentence of a sensible length: of a longer one the middle is left out, which is what somebody gave."""
    if len(sentence) <= SENTENCE_LETTERS:
        return sentence
    head, tail = SENTENCE_LETTERS * 2 // 3, SENTENCE_LETTERS // 4
    return f"{sentence[:head]} [... {len(sentence) - head - tail:,} letters ...] {sentence[-tail:]}"


def say(text: str, end: str = "\n") -> None:
    """Write a text to standard output, where it is at once."""
    put(plain(text) + end)


def put(text: str) -> None:
    """Write what has been made for a terminal, with its colours, to standard output."""
    sys.stdout.write(text)
    sys.stdout.flush()


def note(text: str) -> None:
    """Write a line to standard error."""
    print(plain(text), file=sys.stderr, flush=True)


def nobody_reads() -> bool:
    """Whether standard output is a pipe whose other end has gone. Other pipes, those of workers for one, break too."""
    poll = select.poll()
    poll.register(1, 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


class Forgiving(TextIOWrapper):
    """A standard error that may be full or gone: what is said there is never worth the end of a run."""

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            super().flush()


def open_streams() -> None:
    """Standard streams that can be written: closed ones go nowhere, letters that a stream cannot show are escaped.

    A descriptor that was closed at the start is taken by the next file that is opened, and what a library prints would
    go into that file.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free one, which is this
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open to the end of the process
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if sys.stderr is None or sys.stderr is sys.__stderr__:  # not one that a caller has put there
        buffer = open(2, "wb", closefd=False)  # noqa: SIM115 - open to the end of the process
        sys.stderr = Forgiving(buffer, "utf-8" if sys.stderr is None else sys.stderr.encoding, "backslashreplace",
                               line_buffering=True, write_through=True)  # fmt: skip
