"""Something that runs tiles and says what came out: compiled RTL in this process, or a board behind a link.

What it is and what it says; none of it needs Amaranth.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from rtl.formats import Bits
from rtl.lanes import UpdateParameters
from rtl.parameters import Parameters
from rtl.tiles import Tile

COUNTERS = ("cycles", "compute", "fill", "drain", "waiting")


@dataclass(frozen=True)
class Answer:
    """What the hardware gave for a tile. product: bit patterns (rows, cols), empty where sums stay inside. counters: in
    cycles, by the names in COUNTERS."""

    product: Bits
    counters: Mapping[str, int]


@dataclass(frozen=True)
class LinkFigures:
    """What a link has done so far. sent, received: bytes on the wire; payload: those of them that were commands and
    replies. repeated: times it sent again from where the board was; damaged: frames thrown away here; sessions begun;
    seconds spent with the link, the board's own time included. Without a link all are zero."""

    sent: int = 0
    received: int = 0
    payload: int = 0
    frames: int = 0
    repeated: int = 0
    damaged: int = 0
    sessions: int = 0
    seconds: float = 0.0


class Unconfirmed(Exception):
    """The hardware gave no answer that can be believed, and why, in a sentence."""


class Hardware(ABC):
    """An array that tiles can be sent to. A context manager, because a board may be behind it."""

    parameters: Parameters

    @abstractmethod
    def run(self, chain: Sequence[Tile]) -> list[Answer]:
        """Run tiles one after the other with nothing between: a reduction in pieces whose sums stay in the array.

        Raises Unconfirmed when there is no answer to all of them.
        """

    @abstractmethod
    def fits(self, tile: Tile) -> bool:
        """Whether a tile can run as it is, or has to be cut."""

    @abstractmethod
    def top_n(self, values: Bits, n: int, m: int) -> tuple[Bits, NDArray[np.integer]]:
        """(kept values, their indices in their groups) of a run of operands in groups of m, by SORE.

        Raises Unconfirmed when there is no answer, also where there is no such lane.
        """

    @abstractmethod
    def updated(
        self, lane: UpdateParameters, fields: Mapping[str, Bits], constants: Mapping[str, int]
    ) -> dict[str, Bits]:
        """What `rtl.golden.units.updated` gives, by WUVE: weights, state and `operand` after a step.

        Raises Unconfirmed when there is no answer, also where there is no such lane.
        """

    @abstractmethod
    def figures(self) -> LinkFigures:
        """What the link has done so far."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the hardware."""

    @final
    def __enter__(self) -> Self:
        return self

    @final
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
