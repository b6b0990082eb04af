"""What a run took, whatever ran."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from simulator.program import Stall


@dataclass(frozen=True)
class Timing:
    """One run, in cycles of the lead engine; busy + stalls = cycles.

    `actions` are amounts by (kind, tensor). `steps` counts the commands or events evaluated: what the run cost, not
    what it models. `detail` is what a kind of machine knows besides, for its own reports.
    """

    cycles: int
    busy: int
    stalls: Mapping[Stall, int]
    actions: Mapping[tuple[str, str], int]
    steps: int
    detail: object = None


@dataclass(frozen=True)
class Evaluation:
    """What the default reader makes of a program: cycles, waits of the lead engine by cause, commands evaluated.

    `ends`: the tick at which each engine is done.
    """

    cycles: int
    waits: Mapping[Stall, int]
    steps: int
    ends: Mapping[str, int]


class Executable(Protocol):
    """Work that a machine carries out: a `Program`, or a product on a fabric."""

    def run(self, exact: bool) -> Timing:
        """Carry it out; `exact` makes every command an event. Raises ValueError where it can never go on."""
        ...
