"""What a session tells, step by step: differences of its figures. Needs no torch."""

from collections.abc import Mapping, Sequence
from typing import cast, final

from workloads.training.backend import CYCLES, OPS, Session

Value = str | int | float
Rows = Mapping[tuple[str, ...], Mapping[str, Value]]  # by the words in a row


@final
class Meter:
    """Not frozen: it remembers what was told before. rows: of the last step; cycles: of all of them, 0 without a
    clock."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._before, self._cycles = _read(session.figures())
        self.rows: list[dict[str, Value]] = []
        self.cycles = 0.0

    def advance(self) -> None:
        """A step was made."""
        rows, cycles = _read(self._session.figures())
        self.rows = [found for key, row in rows.items() if (found := _less(row, self._before.get(key, {})))]
        self.cycles = cycles - self._cycles
        self._before, self._cycles = rows, cycles


def _read(figures: Mapping[str, object]) -> tuple[Rows, float]:
    rows = cast(Sequence[Mapping[str, Value]], figures.get(OPS, ()))
    by = {tuple(each for each in row.values() if isinstance(each, str)): dict(row) for row in rows}
    return by, cast(float, figures.get(CYCLES, 0))


def _less(row: Mapping[str, Value], before: Mapping[str, Value]) -> dict[str, Value]:
    """The row with numbers less those of before; empty where none has grown."""
    made: dict[str, Value] = {}
    grown = False
    for name, value in row.items():
        if isinstance(value, str):
            made[name] = value
        else:
            made[name] = value - cast(float, before.get(name, 0))
            grown = grown or made[name] != 0
    return made if grown else {}
