"""Rows dealt to threads once and for all: what the kernels without hash tables have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from dataflows.spgemm.events import Cut, deal
from dataflows.spgemm.hashing import Piece
from dataflows.spgemm.kernel import Task
from dataflows.spgemm.steps import Feature, Recipe, counts, traffic
from simulator.fabric.program import Counts, Phase, Stage
from simulator.fabric.rates import Rates

RESERVED = 1 / 16  # of the scratchpad: counters, stacks


class Body(Protocol):
    """Multiplies consecutive rows of the result; `cut` is where the work of each lies in events."""

    def __call__(self, first: int, last: int, cut: tuple[Any, Any, int], features: Counts) -> Piece | None: ...


@dataclass(frozen=True)
class DealtUnit:
    """One core's rows: blocks of as many as it has threads, a row each, block after block through all cores."""

    task: Task
    name: str
    core: int
    work: Counts  # (rows,), products of each
    recipe: Recipe
    body: Body
    pieces: bool = False  # of rows are dealt to threads, instead of whole ones

    def phases(self) -> Sequence[Phase]:
        threads, cores = self.task.arch.threads_per_core, self.task.arch.cores
        firsts = range(self.core * threads, len(self.work), cores * threads)
        blocks = [(first, min(first + threads, len(self.work))) for first in firsts]
        if not blocks:
            return ()
        size = self.task.options.event
        cut = deal(np.maximum(1, np.concatenate([self.work[first:last] for first, last in blocks])), threads, size)
        features = np.zeros((len(cut.threads), len(Feature)), dtype=np.int64)
        done = 0
        for first, last in blocks:
            part = slice(done, done + last - first)
            piece = self.body(first, last, (cut.first[part], cut.offset[part], size), features)
            if piece is not None:
                self.task.finish(piece)
            done += last - first
        self.task.tally.note(features)
        return (self._phase(cut, features),)

    def _phase(self, cut: Cut, features: Counts) -> Phase:
        moved = traffic(self.recipe, features, Rates(self.task.arch).access_bytes)
        owners = np.arange(len(cut.threads), dtype=np.int32) % self.task.arch.threads_per_core
        return Phase(self.name, counts(self.recipe, features), owners if self.pieces else cut.threads, moved)


def dealt_stage(task: Task, name: str, work: Counts, recipe: Recipe, body: Body, pieces: bool = False) -> Stage:
    """All rows dealt over all threads of all cores."""
    cores = range(task.arch.cores)
    units = [DealtUnit(task, name, core, work, recipe, body, pieces) for core in cores]
    return Stage(name, units, list(cores))


def thread_share_bytes(task: Task) -> float:
    """Bytes of scratchpad for each thread."""
    return task.arch.scratchpad_bytes * (1 - RESERVED) / task.arch.threads_per_core
