"""Finished tiles on disk, a line each, so that a run that was killed goes on where it was."""

from pathlib import Path
from types import TracebackType
from typing import Self, final

from simulator.hil.outcome import STATUSES, UNCONFIRMED, Outcome
from workloads.errors import UserError
from workloads.files.lines import LineFile
from workloads.files.reading import checked

DAMAGED = "take the file away to have all tiles run again"


@final
class Journal:
    """Outcomes of a run, kept in a file. Raises UserError while another process is at the same run.

    A line that was cut by a kill is as if it had not been written; so is a tile that was not confirmed. Raises
    UserError for a file that is damaged in another way.
    """

    def __init__(self, path: Path) -> None:
        busy = f"--hil: another process is at this very run ({path}); wait for it, or stop it"
        self._lines = LineFile(path, busy, DAMAGED, _outcome)
        self.found = {each.tile: each for each in self._lines.found if each.status != UNCONFIRMED}

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome. Raises UserError where it cannot be written; those before it are kept."""
        self._lines.append(outcome.row())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()


def _outcome(node: object, place: str) -> Outcome:
    try:
        found = checked(Outcome, node, place)
    except UserError as error:
        raise UserError(f"{error}; {DAMAGED}") from None
    if found.status not in STATUSES:
        raise UserError(f"{place}: status: '{found.status}' is none of {', '.join(STATUSES)}; {DAMAGED}")
    return found
