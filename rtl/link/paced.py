"""A virtual board that is run a little at a time, so that whoever serves it can look at the wire between."""

import time
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from rtl.link.pumping import Pumped

CYCLES = 2_000  # at once, before the wire is looked at again
LOOK = 0.005  # seconds after which the wire is looked at again, about
# Bytes that wait before the board: a full inbox of commands with their frames, and questions beside it.
INPUT = 4096


@final
class Paced:
    """A board that is run for about LOOK seconds at a time."""

    def __init__(self, board: "Pumped") -> None:
        self.board, self._cycles = board, CYCLES

    @property
    def room(self) -> int:
        """Bytes that may be given to it now."""
        return max(0, INPUT - self.board.waiting)

    @property
    def patience(self) -> float | None:
        """Milliseconds to wait for bytes before it has to run again."""
        return None if self.board.quiet else 0.0

    def run(self, data: bytes) -> bytes:
        began, before = time.perf_counter(), self.board.cycles
        made = self.board.run(data, self._cycles)
        if self.board.cycles - before == self._cycles:
            quicker = LOOK / max(1e-9, time.perf_counter() - began)
            self._cycles = max(64, int(self._cycles * min(2.0, max(0.5, quicker))))
        return made
