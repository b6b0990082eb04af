"""Which tiles of a schedule go to hardware: drawn from classes of like work, every class in its turn."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.schedule import ArrayPart, ScheduledOp
from workloads.op import MatrixOp


@dataclass(frozen=True)
class Stratum:
    """A class of like tiles: one product of an op. `part_index`: which of the op's products, `part`: what the array
    does in it. `op_index` counts the ops of the step."""

    op_index: int
    part_index: int
    op: MatrixOp
    part: ArrayPart

    @property
    def kind(self) -> tuple[str, str, str]:
        """Phase, dataflow and pattern: what a layer's classes have in common with those of others."""
        return self.op.phase.value, self.part.dataflow, str(self.op.right.pattern)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Layer, phase, dataflow, pattern: products of one op that agree in these are one class."""
        return (self.op.layer, *self.kind)


@dataclass(frozen=True)
class Draw:
    """One tile: where in the product it lies, as fractions of the blocks there are. `number` counts from 0."""

    number: int
    stratum: Stratum
    row: float
    col: float


def strata_of(schedule: Iterable[ScheduledOp]) -> list[Stratum]:
    """The classes of a schedule, in its order."""
    return [
        Stratum(number, index, scheduled.op, part)
        for number, scheduled in enumerate(schedule)
        if isinstance(scheduled.op, MatrixOp)
        for index, part in enumerate(scheduled.parts)
    ]


def drawn(strata: Sequence[Stratum], tiles: int, seed: int) -> list[Draw]:
    """So many tiles; the same seed draws the same ones, and more tiles begin with the fewer.

    Classes come in a random order in which kinds take turns, again and again: as many tiles as classes are in all of
    them, fewer are in as many kinds as can be.
    """
    rng = np.random.default_rng(seed)
    order = _in_turns([strata[each] for each in rng.permutation(len(strata))])
    return [Draw(number, order[number % len(order)], *rng.random(2)) for number in range(tiles)] if order else []


def _in_turns(strata: Sequence[Stratum]) -> list[Stratum]:
    """One of each kind, then a second one of each that has more, and so on."""
    seen: dict[tuple[str, str, str], int] = {}
    rounds = []
    for stratum in strata:
        seen[stratum.kind] = turn = seen.get(stratum.kind, 0) + 1
        rounds.append(turn)
    return [strata[at] for at in np.argsort(rounds, kind="stable")]
