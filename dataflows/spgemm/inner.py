"""Inner product: every row of the left operand is intersected with every column of the right one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataflows.spgemm.kernel import (
    BROUGHT,
    CLAIM,
    ELEMENT,
    PAIR,
    PRODUCT,
    ROW,
    STEP,
    Costs,
    Feature,
    Kernel,
    Piece,
    Recipe,
    Step,
    Task,
    merged,
    results,
    rows_of,
)
from dataflows.spgemm.options import FabricOptions
from simulator.fabric.program import Phase, Stage
from simulator.fabric.rates import Rates
from simulator.machines.piuma import FabricArch
from workloads.kernels import compiled
from workloads.sparse.matrix import Matrix, SparseProduct

COLUMNS = 256  # of one event

# A thread keeps its row in the scratchpad. Columns' pointers follow each other; a step compares two indices, of which
# one has just been read; a match reads the column's value.
RECIPE: Recipe = {
    Feature.ROW: Step(integer=5, remote_atomic=1, reads={"left": 2}),
    Feature.ELEMENT: Step(integer=1, scratchpad=2, reads={"left": 2}),
    Feature.PAIR: Step(integer=3, reads={"right": 1}),
    Feature.BROUGHT: Step(reads={"right": 1}),
    Feature.STEP: Step(integer=3, scratchpad=1),
    Feature.PRODUCT: Step(float=2, scratchpad=1, reads={"right": 1}),
    Feature.CLAIM: Step(integer=2),
}


@dataclass(frozen=True)
class Inner(Kernel):
    """The right operand is given by columns. Rows are dealt to threads; empty ones are passed over."""

    name: str = "inner"

    def recipes(self, arch: FabricArch, options: FabricOptions) -> dict[str, Recipe]:
        return {"multiply": merged(RECIPE, results(arch.data))}

    def size(self, product: SparseProduct) -> Mapping[str, int]:
        """Every row is held against every column: against their elements, and against the empty ones too."""
        right = product.right
        return {**super().size(product), "comparisons": product.left.rows * (right.nonzeros + right.cols)}

    def does(self, options: FabricOptions) -> str:
        return "deals whole rows to threads, each of which meets its row with every column of the right operand"

    def stages(self, task: Task) -> Sequence[Stage]:
        columns, costs = task.product.right.transposed(), Costs.of(self.recipes(task.arch, task.options)["multiply"])
        cores = range(task.arch.cores)
        return (Stage("multiply", [InnerUnit(task, columns, core, costs) for core in cores], list(cores)),)


@dataclass(frozen=True)
class InnerUnit:
    """One core's rows, in blocks of as many as it has threads."""

    task: Task
    columns: Matrix
    core: int
    costs: Costs

    def phases(self) -> Sequence[Phase]:
        left, threads = self.task.product.left, self.task.arch.threads_per_core
        firsts = range(self.core * threads, left.rows, self.task.arch.cores * threads)
        blocks = [(first, min(first + threads, left.rows)) for first in firsts]
        done = [self._block(first, last) for first, last in blocks]
        if not done:
            return ()
        features = np.concatenate([each for each, _ in done])
        owners = np.concatenate([each for _, each in done])
        self.task.tally.note(features)
        moved = self.costs.traffic(features, Rates(self.task.arch).access_bytes)
        return (Phase("multiply", self.costs.counts(features), owners, moved),)

    def _block(self, first: int, last: int) -> tuple[Any, Any]:
        """Rows [first, last): features of their events, and the thread of each."""
        parts = -(-self.columns.rows // COLUMNS)
        features = np.zeros(((last - first) * parts, len(Feature)), dtype=np.int64)
        left, columns = rows_of(self.task.product.left), rows_of(self.columns)
        self.task.finish(Piece(first, *_intersect(left, columns, first, last, parts, features)))
        return features, np.repeat(np.arange(last - first, dtype=np.int32), parts)


INNER = Inner()


@compiled(nogil=True)
def _intersect(left: Any, columns: Any, first: Any, last: Any, parts: Any, features: Any) -> Any:
    """Rows [first, last): sizes, columns in ascending order, sums."""
    sizes = np.zeros(last - first, np.int64)
    total = len(columns.starts) - 1
    found, values = np.empty((last - first) * total, np.int32), np.empty((last - first) * total, np.float64)
    used = 0
    for row in range(first, last):
        begin, end = left.starts[row], left.starts[row + 1]
        base = (row - first) * parts
        features[base, ROW] += 1
        features[base, ELEMENT] += end - begin
        before = used
        for column in range(total if end > begin else 0):
            event = base + column // COLUMNS
            features[event, PAIR] += 1
            one, other, stop = begin, columns.starts[column], columns.starts[column + 1]
            steps, matches, total_sum = 0, 0, 0.0
            while one < end and other < stop:
                steps += 1
                mine, theirs = left.indices[one], columns.indices[other]
                if mine == theirs:
                    total_sum += left.values[one] * columns.values[other]
                    matches += 1
                one += mine <= theirs
                other += theirs <= mine
            read = other - columns.starts[column] + (1 if other < stop else 0)
            features[event, BROUGHT] += read
            features[event, STEP] += steps
            features[event, PRODUCT] += matches
            if matches:
                features[event, CLAIM] += 1
                found[used], values[used] = column, total_sum
                used += 1
        sizes[row - first] = used - before
    return sizes, found[:used].copy(), values[:used].copy()
