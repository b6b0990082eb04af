"""Plain row-wise product (Gustavson 1978): each thread has rows of its own and a dense accumulator of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataflows.spgemm.dealt import dealt_stage, thread_share_bytes
from dataflows.spgemm.kernel import (
    CLAIM,
    ELEMENT,
    PRODUCT,
    ROW,
    ROW_BY_ROW,
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
from simulator.fabric.program import Counts, Stage
from simulator.machines.piuma import FabricArch
from workloads.kernels import compiled

COLUMN_BYTES = 24  # of an accumulator: a sum, the row it belongs to, a place in the list of columns

# A row takes room for its result. A product finds the row the column was last used for, and adds; a new column is
# listed, and in the end its sum is written.
COMMON: Recipe = {
    Feature.ROW: Step(integer=2, remote_atomic=1),
    Feature.PRODUCT: Step(integer=1, float=1),
    Feature.CLAIM: Step(integer=3),
}
NEAR: Recipe = {Feature.PRODUCT: Step(scratchpad=3), Feature.CLAIM: Step(scratchpad=4)}
FAR: Recipe = {
    Feature.PRODUCT: Step(reads={"accumulator": 2}, writes={"accumulator": 1}),
    Feature.CLAIM: Step(reads={"accumulator": 2}, writes={"accumulator": 2}),
}


@dataclass(frozen=True)
class RowWise(Kernel):
    """Accumulators lie in the scratchpad where they fit for all threads, otherwise in memory."""

    name: str = "row-wise"

    def recipes(self, arch: FabricArch, options: FabricOptions) -> dict[str, Recipe]:
        common = merged(ROW_BY_ROW, COMMON, results(arch.data))
        return {"near": merged(common, NEAR), "far": merged(common, FAR)}

    def does(self, options: FabricOptions) -> str:
        return "deals whole rows to threads, each with a dense accumulator of its own"

    def stages(self, task: Task) -> Sequence[Stage]:
        product = task.product
        near = product.right.cols * COLUMN_BYTES <= thread_share_bytes(task)
        recipe = self.recipes(task.arch, task.options)["near" if near else "far"]
        left, right = rows_of(product.left), rows_of(product.right)
        sums, marks = np.zeros(product.right.cols), np.full(product.right.cols, -1, dtype=np.int64)
        work = product.row_multiplies()

        def body(first: int, last: int, cut: tuple[Any, Any, int], features: Counts) -> Piece:
            room = int(np.minimum(work[first:last], product.right.cols).sum())
            return Piece(first, *_accumulate(left, right, first, last, cut, features, sums, marks, room))

        return (dealt_stage(task, "multiply", work, recipe, body),)


ROW_WISE = RowWise()


@compiled(nogil=True)
def _accumulate(
    left: Any, right: Any, first: Any, last: Any, cut: Any, features: Any, sums: Any, marks: Any, most: Any
) -> Any:
    """Rows [first, last): sizes, columns in the order they came, sums."""
    first_event, offsets, size = cut
    sizes = np.zeros(last - first, np.int64)
    columns, values = np.empty(most, np.int32), np.empty(most, np.float64)
    used = 0
    for row in range(first, last):
        event, room = first_event[row - first], size - offsets[row - first]
        features[event, ROW] += 1
        begin = used
        for element in range(left.starts[row], left.starts[row + 1]):
            features[event, ELEMENT] += 1
            inner, factor = left.indices[element], left.values[element]
            for other in range(right.starts[inner], right.starts[inner + 1]):
                if room == 0:
                    event, room = event + 1, size
                room -= 1
                column = right.indices[other]
                if marks[column] != row:
                    marks[column], sums[column] = row, 0.0
                    columns[used] = column
                    used += 1
                    features[event, CLAIM] += 1
                sums[column] += factor * right.values[other]
                features[event, PRODUCT] += 1
        for place in range(begin, used):
            values[place] = sums[columns[place]]
        sizes[row - first] = used - begin
    return sizes, columns[:used], values[:used]
