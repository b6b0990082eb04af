"""How long to wait for an answer before frames are thought lost: by how long answers have taken (RFC 6298)."""

from dataclasses import dataclass

FIRST, LEAST, MOST = 0.5, 0.02, 1.5  # seconds


@dataclass
class Pace:
    """Not frozen: it learns. seconds: to wait."""

    seconds: float = FIRST
    _mean: float | None = None
    _spread: float = 0.0

    def answered(self, took: float) -> None:
        """An answer came so many seconds after its frame, which was sent once."""
        if self._mean is None:
            self._mean, self._spread = took, took / 2
        else:
            self._spread += (abs(took - self._mean) - self._spread) / 4
            self._mean += (took - self._mean) / 8
        self.seconds = min(MOST, max(LEAST, self._mean + 4 * self._spread))

    def lost(self) -> None:
        """Nothing came in time."""
        self.seconds = min(MOST, 2 * self.seconds)
