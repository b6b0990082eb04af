"""The walk compiled by numba, and how it is called: a module of its own, since numba takes half a second to import."""

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from simulator.kernel.walk import PARTS, Marks, Row, State, sizes, walk
from workloads.kernels import compiled

for part in PARTS:
    register_jitable(part)
_walk = compiled()(walk)


def walked(words: Sequence[int], is_jumping: bool, causes: int) -> tuple[int, int, Row, Row]:
    """The same as `maxplus.walked`, for a program of any length."""
    of_state, of_marks = sizes(words, causes)
    memory = np.zeros(sum(of_state) + sum(of_marks), dtype=np.int64)
    state, marks = State(*_cut(memory, of_state)), Marks(*_cut(memory[sum(of_state) :], of_marks))
    read: Any = np.frombuffer(array("q", words), dtype=np.int64)
    stuck, steps = _walk(read, is_jumping, -1, state, marks)
    return stuck, steps, state.free_at, state.waits


def _cut(memory: NDArray[np.int64], lengths: Sequence[int]) -> Iterator[Row]:
    """One row of numbers in parts: to make fifteen small arrays takes longer than many a program."""
    end = 0
    for length in lengths:
        start, end = end, end + length
        yield memory[start:end]  # type: ignore[misc]  # it is indexed as a list is
