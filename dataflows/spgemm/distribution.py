"""Counting the work of every row, which window distribution needs; every SMASH version begins with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dataflows.spgemm.events import deal, spread
from dataflows.spgemm.kernel import Task
from dataflows.spgemm.steps import Feature, Recipe, Step, counts, traffic
from simulator.fabric.program import Phase, Stage
from simulator.fabric.rates import Rates

COUNTING: Recipe = {
    Feature.ROW: Step(integer=3, scratchpad=1, reads={"left": 2}, writes={"work": 1}),
    Feature.ELEMENT: Step(integer=3, reads={"left": 1, "right": 2}),  # a column, the pointers of its row
}
LIMITS: Recipe = {Feature.ROW: Step(integer=4, scratchpad=2)}


def distribution_stage(task: Task) -> Stage:
    """Every core counts a share of the rows, and one of its threads adds them up to windows."""
    rows, cores = task.product.left.rows, task.arch.cores
    limits = [rows * core // cores for core in range(cores + 1)]
    units = [CountUnit(task, first, last) for first, last in pairwise(limits)]
    return Stage("distribute", units, list(range(cores)))


@dataclass(frozen=True)
class CountUnit:
    """Rows [first, last) counted."""

    task: Task
    first: int
    last: int

    def phases(self) -> Sequence[Phase]:
        if self.first == self.last:
            return ()
        task = self.task
        sizes = task.product.left.row_sizes()[self.first : self.last]
        cut = deal(np.maximum(sizes, 1), task.arch.threads_per_core, task.options.event)
        features = np.zeros((len(cut.threads), len(Feature)), dtype=np.int64)
        np.add.at(features[:, Feature.ROW], cut.first, 1)
        spread(features[:, Feature.ELEMENT], cut, sizes, task.options.event)
        word = Rates(task.arch).access_bytes
        counting = Phase("count", counts(COUNTING, features), cut.threads, traffic(COUNTING, features, word))
        total = np.zeros((1, len(Feature)), dtype=np.int64)
        total[0, Feature.ROW] = self.last - self.first
        return counting, Phase("limits", counts(LIMITS, total), serial=True)
