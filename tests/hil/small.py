"""A small step with real values, and hardware for it: the compiled array, or one that errs in a way of choice."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from rtl.formats import Bits
from rtl.hardware import Answer, Hardware, LinkFigures, Unconfirmed
from rtl.in_process import InProcess
from rtl.lanes import UpdateParameters
from rtl.parameters import Parameters
from rtl.tiles import Tile
from simulator.hil.array import array_for, buildable
from simulator.hil.operands import Donors, read_donors
from simulator.hil.strata import Stratum, strata_of
from simulator.job import Job, Source
from simulator.runner import carry_out, prepare
from workloads.work import Work

SMALL = ("rtl.rows=2", "rtl.cols=2", "rtl.format=int8")


@dataclass(frozen=True)
class Step:
    strata: list[Stratum]
    donors: Donors
    parameters: Parameters


@cache
def step(model: str = "resnet18", pattern: str = "2:8", settings: tuple[str, ...] = SMALL) -> Step:
    asked = prepare(Job(Source("sat"), Work(model=model, batch=4), (pattern,), settings=settings))
    strata = strata_of(carry_out(asked).schedule)
    tensors = asked.workload.tensors
    assert isinstance(tensors, Path)
    donors = read_donors(tensors, [stratum.op.layer for stratum in strata])
    return Step(strata, donors, array_for(buildable(asked.machine), strata))


@cache
def compiled() -> InProcess:
    return InProcess(step().parameters)


class Erring(Hardware):
    """The compiled array with its answers changed: `change` gets the number of the chain, from 0, and its answers."""

    def __init__(self, change: Callable[[int, list[Answer]], list[Answer]]) -> None:
        self.parameters, self._change, self.chains = step().parameters, change, 0

    def run(self, chain: Sequence[Tile]) -> list[Answer]:
        self.chains += 1
        return self._change(self.chains - 1, compiled().run(chain))

    def fits(self, tile: Tile) -> bool:
        return compiled().fits(tile)

    def top_n(self, values: Bits, n: int, m: int) -> tuple[Bits, np.ndarray]:
        raise Unconfirmed("no lane here")

    def updated(
        self, lane: UpdateParameters, fields: Mapping[str, Bits], constants: Mapping[str, int]
    ) -> dict[str, Bits]:
        raise Unconfirmed("no lane here")

    def figures(self) -> LinkFigures:
        return LinkFigures()

    def close(self) -> None:
        """Nothing to let go of."""
