"""A binary heap in an array, for compiled kernels: entries (entries, 3), in the order of their first two words."""

from typing import Any

from workloads.kernels import compiled


@compiled(inner=True)
def sink(heap: Any, parent: Any, count: Any) -> Any:
    """Move an entry down to its place. Returns the levels it was compared on."""
    steps = 0
    while True:
        child = 2 * parent + 1
        if child >= count:
            return steps
        steps += 1
        other = child + 1
        if other < count and _before(heap, other, child):
            child = other
        if not _before(heap, child, parent):
            return steps
        _swap(heap, child, parent)
        parent = child


@compiled(inner=True)
def rise(heap: Any, child: Any) -> None:
    """Move an entry up to its place."""
    while child and _before(heap, child, (child - 1) // 2):
        _swap(heap, child, (child - 1) // 2)
        child = (child - 1) // 2


@compiled(inner=True)
def _before(heap: Any, one: Any, other: Any) -> Any:
    if heap[one, 0] != heap[other, 0]:
        return heap[one, 0] < heap[other, 0]
    return heap[one, 1] < heap[other, 1]


@compiled(inner=True)
def _swap(heap: Any, one: Any, other: Any) -> None:
    for word in range(3):
        heap[one, word], heap[other, word] = heap[other, word], heap[one, word]
