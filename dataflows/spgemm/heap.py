"""Row-wise product by a heap of rows (Buluc and Gilbert 2008): a thread merges the rows its row names, by columns."""

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
    STEP,
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
from simulator.fabric.heap import sink
from simulator.fabric.program import Counts, Stage
from simulator.machines.piuma import FabricArch
from workloads.kernels import compiled

ENTRY_BYTES = 24  # of a heap: a column, where its row goes on, a factor

# A row takes room for its result; a product is read at the top of the heap and added to a sum in a register; a step
# compares two entries and moves one of three words.
COMMON: Recipe = {
    Feature.ROW: Step(integer=2, remote_atomic=1),
    Feature.PRODUCT: Step(integer=2, float=1),
    Feature.CLAIM: Step(integer=2),
    Feature.STEP: Step(integer=3),
}
NEAR: Recipe = {
    Feature.PRODUCT: Step(scratchpad=3),
    Feature.STEP: Step(scratchpad=4),
    Feature.ELEMENT: Step(scratchpad=3),
}
FAR: Recipe = {
    Feature.PRODUCT: Step(reads={"heap": 2}, writes={"heap": 1}),
    Feature.STEP: Step(reads={"heap": 2}, writes={"heap": 2}),
    Feature.ELEMENT: Step(writes={"heap": 3}),
}


@dataclass(frozen=True)
class HeapMerge(Kernel):
    """Heaps lie in the scratchpad where the largest row's fits for all threads, otherwise in memory."""

    name: str = "heap-merge"

    def recipes(self, arch: FabricArch, options: FabricOptions) -> dict[str, Recipe]:
        common = merged(ROW_BY_ROW, COMMON, results(arch.data))
        return {"near": merged(common, NEAR), "far": merged(common, FAR)}

    def does(self, options: FabricOptions) -> str:
        return "deals whole rows to threads, each of which merges the rows that its row names by a heap"

    def stages(self, task: Task) -> Sequence[Stage]:
        product = task.product
        longest = int(product.left.row_sizes().max(initial=0))
        near = longest * ENTRY_BYTES <= thread_share_bytes(task)
        recipe = self.recipes(task.arch, task.options)["near" if near else "far"]
        left, right = rows_of(product.left), rows_of(product.right)
        heap = np.zeros((longest + 1, 3), dtype=np.int64)
        work = product.row_multiplies()

        def body(first: int, last: int, cut: tuple[Any, Any, int], features: Counts) -> Piece:
            room = int(np.minimum(work[first:last], product.right.cols).sum())
            return Piece(first, *_merge_rows(left, right, first, last, cut, features, heap, room))

        return (dealt_stage(task, "multiply", work, recipe, body),)


HEAP_MERGE = HeapMerge()


@compiled(nogil=True)
def _merge_rows(left: Any, right: Any, first: Any, last: Any, cut: Any, features: Any, heap: Any, most: Any) -> Any:
    """Rows [first, last): sizes, columns in ascending order, sums.

    heap: (elements, 3), of each row of `right` its next column, the element of `left` it belongs to, and its place.
    Equal columns come in the order of elements, so that sums are added up in it.
    """
    first_event, offsets, size = cut
    sizes = np.zeros(last - first, np.int64)
    columns, values = np.empty(most, np.int32), np.empty(most, np.float64)
    used = 0
    for row in range(first, last):
        event, room = first_event[row - first], size - offsets[row - first]
        features[event, ROW] += 1
        begin, count = used, 0
        for element in range(left.starts[row], left.starts[row + 1]):
            features[event, ELEMENT] += 1
            place = right.starts[left.indices[element]]
            if place < right.starts[left.indices[element] + 1]:
                heap[count, 0], heap[count, 1], heap[count, 2] = right.indices[place], element, place
                count += 1
        for parent in range(count // 2 - 1, -1, -1):
            features[event, STEP] += sink(heap, parent, count)
        column, total = -1, 0.0
        while count:
            if room == 0:
                event, room = event + 1, size
            room -= 1
            element, place = heap[0, 1], heap[0, 2]
            if heap[0, 0] != column:
                if column >= 0:
                    columns[used], values[used] = column, total
                    used += 1
                column, total = heap[0, 0], 0.0
                features[event, CLAIM] += 1
            total += left.values[element] * right.values[place]
            features[event, PRODUCT] += 1
            if place + 1 < right.starts[left.indices[element] + 1]:
                heap[0, 0], heap[0, 2] = right.indices[place + 1], place + 1
            else:
                count -= 1
                heap[0] = heap[count]
            features[event, STEP] += sink(heap, 0, count)
        if column >= 0:
            columns[used], values[used] = column, total
            used += 1
        sizes[row - first] = used - begin
    return sizes, columns[:used], values[:used]
