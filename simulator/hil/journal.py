"""Finished tiles on disk, a line each, so that a run that was killed goes on where it was."""

import json
from pathlib import Path
from types import TracebackType
from typing import Self, final

from filelock import FileLock, Timeout

from simulator.hil.outcome import UNCONFIRMED, Outcome
from workloads.errors import UserError


@final
class Journal:
    """Outcomes of a run, kept in a file. Raises UserError while another process is at the same run.

    A line that was cut by a kill is as if it had not been written; so is a tile that was not confirmed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(path.with_suffix(".lock"))
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UserError(f"--hil: another process is at this very run ({path}); wait for it, or stop it") from None
        self.found = {each.tile: each for each in _read(path)}

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(outcome.row()) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()
        self._path.with_suffix(".lock").unlink(missing_ok=True)


def _read(path: Path) -> list[Outcome]:
    """The whole lines of a journal; a cut one is taken away, so that the next line stands alone."""
    if not path.exists():
        return []
    found, whole = [], 0
    text = path.read_bytes()
    for line in text.splitlines(keepends=True):
        try:
            outcome = Outcome(**json.loads(line))
        except (ValueError, TypeError):
            break
        if not line.endswith(b"\n"):
            break
        whole += len(line)
        found.append(outcome)
    if whole < len(text):
        with path.open("r+b") as file:
            file.truncate(whole)
    return [each for each in found if each.status != UNCONFIRMED]
