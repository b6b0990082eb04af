"""Outer product with merge (the scheme of OuterSPACE, Pal et al. 2018): columns times rows into lists of partial
products in memory, then the lists of each row merged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataflows.spgemm.dealt import dealt_stage, thread_share_bytes
from dataflows.spgemm.kernel import (
    BROUGHT,
    CLAIM,
    ELEMENT,
    PRODUCT,
    ROW,
    SEARCH,
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
    stored_bytes,
    too_large,
)
from dataflows.spgemm.options import FabricOptions
from simulator.fabric.program import Counts, Stage
from simulator.machines.piuma import FabricArch
from workloads.errors import UserError
from workloads.kernels import compiled

PARTIAL_BYTES = 16  # a column and a value, a word each
LARGEST = 2**29  # partial products kept by the program that simulates

# An inner index: pointers of its column and its row, the row brought to the scratchpad; each element of the column
# takes room for a list of products in its row.
MULTIPLY: Recipe = {
    Feature.ROW: Step(integer=4, reads={"left": 2, "right": 2}),
    Feature.BROUGHT: Step(integer=1, scratchpad=2, reads={"right": 2}),
    Feature.ELEMENT: Step(integer=3, remote_atomic=1, reads={"left": 2}, writes={"partial": 2}),
    Feature.PRODUCT: Step(integer=2, float=1, scratchpad=2, writes={"partial": 2}),
}
# A row of the result: its lists are brought and merged two by two, level by level; a step moves one partial product,
# in the scratchpad, or (SEARCH) in memory where the thread's share is too small. The last pass adds up.
MERGE: Recipe = {
    Feature.ROW: Step(integer=3, remote_atomic=1, reads={"partial": 2}),
    Feature.ELEMENT: Step(integer=2, reads={"partial": 2}),
    Feature.BROUGHT: Step(integer=1, float=1, scratchpad=2, reads={"partial": 2}),
    Feature.STEP: Step(integer=3, scratchpad=3),
    Feature.SEARCH: Step(integer=3, reads={"partial": 1}, writes={"partial": 2}),
    Feature.CLAIM: Step(integer=2),
}


@dataclass(frozen=True)
class Outer(Kernel):
    """The left operand is given by columns. Pieces of inner indices, then rows, are dealt to threads."""

    name: str = "outer"

    def recipes(self, arch: FabricArch, options: FabricOptions) -> dict[str, Recipe]:
        return {"multiply": MULTIPLY, "merge": merged(MERGE, results(arch.data))}

    def does(self, options: FabricOptions) -> str:
        return "deals columns times rows to threads in pieces, and then whole rows, whose lists of products they merge"

    def stages(self, task: Task) -> Sequence[Stage]:
        product = task.product
        count = product.multiplies
        _check(task, count)
        columns = product.left.transposed()
        sizes = product.right.row_sizes()
        lists = np.concatenate([[0], np.cumsum(sizes[product.left.indices])])  # where each element's products go
        order = np.argsort(product.left.indices, kind="stable")  # elements of the left operand by columns
        partial = np.empty(count, dtype=np.int32), np.empty(count)
        left, right, by_column = rows_of(product.left), rows_of(product.right), rows_of(columns)
        share = int(thread_share_bytes(task) // (2 * PARTIAL_BYTES))
        spare = np.empty_like(partial[0]), np.empty_like(partial[1])

        def spread(first: int, last: int, cut: tuple[Any, Any, int], features: Counts) -> None:
            _multiply(by_column, right, lists, order, first, last, cut, features, partial)

        def merge(first: int, last: int, cut: tuple[Any, Any, int], features: Counts) -> Piece:
            return Piece(first, *_merge(left, lists, first, last, cut, features, partial, spare, share))

        work, rows = columns.row_sizes() * sizes, product.row_multiplies()
        recipes = self.recipes(task.arch, task.options)
        return (
            dealt_stage(task, "multiply", work, recipes["multiply"], spread, pieces=True),
            dealt_stage(task, "merge", rows, recipes["merge"], merge),
        )


def _check(task: Task, count: int) -> None:
    need = stored_bytes(task.arch, task.product.left, task.product.right) + count * PARTIAL_BYTES
    if need > task.arch.memory_bytes:
        raise too_large(task.arch, task.product.name, "operands and partial products take", need)
    if count > LARGEST:
        raise UserError(
            f"{task.product.name}: has {count} products, and kernel 'outer' keeps them all; {LARGEST} at most are "
            f"simulated"
        )


OUTER = Outer()


@compiled(nogil=True)
def _multiply(
    columns: Any, right: Any, lists: Any, order: Any, first: Any, last: Any, cut: Any, features: Any, partial: Any
) -> None:
    """Inner indices [first, last): every element of the column times every element of the row, into its list."""
    first_event, offsets, size = cut
    for inner in range(first, last):
        event, room = first_event[inner - first], size - offsets[inner - first]
        begin, end = right.starts[inner], right.starts[inner + 1]
        features[event, ROW] += 1
        if columns.starts[inner] < columns.starts[inner + 1]:
            features[event, BROUGHT] += end - begin
        for element in range(columns.starts[inner], columns.starts[inner + 1]):
            features[event, ELEMENT] += 1
            place = lists[order[element]]
            for other in range(begin, end):
                if room == 0:
                    event, room = event + 1, size
                room -= 1
                partial[0][place] = right.indices[other]
                partial[1][place] = columns.values[element] * right.values[other]
                place += 1
                features[event, PRODUCT] += 1


@compiled(nogil=True)
def _merge(
    left: Any, lists: Any, first: Any, last: Any, cut: Any, features: Any, partial: Any, spare: Any, share: Any
) -> Any:
    """Rows [first, last): sizes, columns in ascending order, sums."""
    first_event, offsets, size = cut
    sizes = np.zeros(last - first, np.int64)
    most = lists[left.starts[last]] - lists[left.starts[first]]
    columns, values = np.empty(most, np.int32), np.empty(most, np.float64)
    used = 0
    for row in range(first, last):
        event = first_event[row - first]
        room = size - offsets[row - first]
        bounds = lists[left.starts[row] : left.starts[row + 1] + 1].copy()
        features[event, ROW] += 1
        features[event, ELEMENT] += len(bounds) - 1
        moved = _merge_lists(partial[0], partial[1], spare[0], spare[1], bounds)
        count = bounds[-1] - bounds[0]
        _share_out(features, event, room, size, BROUGHT, count, 1)
        _share_out(features, event, room, size, STEP if count <= share else SEARCH, count, moved)
        before = used
        place = bounds[0]
        while place < bounds[-1]:
            column, total = partial[0][place], 0.0
            at = place - bounds[0]
            features[event + max(0, at - room + size) // size, CLAIM] += 1
            while place < bounds[-1] and partial[0][place] == column:
                total += partial[1][place]
                place += 1
            columns[used], values[used] = column, total
            used += 1
        sizes[row - first] = used - before
    return sizes, columns[:used].copy(), values[:used].copy()


@compiled(nogil=True)
def _share_out(features: Any, event: Any, room: Any, size: Any, feature: Any, count: Any, times: Any) -> None:
    """`count` things, `times` each, into the events they lie in."""
    while count > 0:
        step = min(count, room)
        features[event, feature] += step * times
        event, room, count = event + 1, size, count - step


@compiled(nogil=True)
def _merge_lists(columns: Any, values: Any, spare_columns: Any, spare_values: Any, bounds: Any) -> Any:
    """Merge sorted lists two by two until one is left, equal columns in the order of lists. Returns the passes."""
    edges = bounds.copy()
    count, passes = len(edges) - 1, 0
    while count > 1:
        passes += 1
        merged = 0
        for pair in range(0, count, 2):
            one, middle = edges[pair], edges[pair + 1]
            end = edges[min(pair + 2, count)]
            other, place = middle, one
            while one < middle or other < end:
                if other >= end or (one < middle and columns[one] <= columns[other]):
                    spare_columns[place], spare_values[place] = columns[one], values[one]
                    one += 1
                else:
                    spare_columns[place], spare_values[place] = columns[other], values[other]
                    other += 1
                place += 1
            merged += 1
            edges[merged] = end
        columns[bounds[0] : bounds[-1]] = spare_columns[bounds[0] : bounds[-1]]
        values[bounds[0] : bounds[-1]] = spare_values[bounds[0] : bounds[-1]]
        count = merged
    return passes
