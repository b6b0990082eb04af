"""Dealing rows out: to threads, in events of about one size, and to tables, in windows by a count of their work."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dataflows.spgemm.hashing import Window
from dataflows.spgemm.kernel import Costs, Feature, Piece, Recipe, Step, Task
from dataflows.spgemm.options import FabricOptions
from simulator.fabric.program import Counts, Phase, Stage
from simulator.fabric.rates import Rates
from workloads.kernels import compiled


class Cut(NamedTuple):
    """Where each row's work lies in events of one size.

    The work of row i begins in event `first[i]`, `offset[i]` into it, and runs through the following ones. threads:
    (events,), who does each.
    """

    first: Counts
    offset: Counts
    threads: NDArray[np.int32]


def deal(work: Counts, threads: int, size: int) -> Cut:
    """Rows dealt out one by one: thread t does rows t, t + threads, ..., and its work is cut every `size`."""
    owners = np.arange(len(work)) % threads
    order = np.argsort(owners, kind="stable")
    before = np.cumsum(work[order]) - work[order]  # of each row, in its thread and in those before it
    threads_before = before[np.flatnonzero(np.diff(owners[order], prepend=-1))]
    events = np.maximum(1, -(-np.diff(threads_before, append=work.sum()) // size))
    done = before - threads_before[owners[order]]
    first, offset = np.empty_like(work), np.empty_like(work)
    first[order], offset[order] = (np.cumsum(events) - events)[owners[order]] + done // size, done % size
    return Cut(first, offset, np.repeat(np.arange(len(events), dtype=np.int32), events))


def in_line(work: Counts, threads: int, size: int) -> Cut:
    """Rows one behind the other, whose work is cut every `size`; thread t does events t, t + threads, ..."""
    before = np.cumsum(work) - work
    events = max(1, -(-int(work.sum()) // size))
    return Cut(before // size, before % size, np.arange(events, dtype=np.int32) % threads)


@compiled(nogil=True)
def spread(column: Any, first: Any, offset: Any, amounts: Any, size: Any) -> None:
    """Add what each row has of something to the events its work lies in. column: (events,)."""
    for row in range(len(amounts)):
        event, room, left = first[row], size - offset[row], amounts[row]
        while left > 0:
            step = min(left, room)
            column[event] += step
            event, room, left = event + 1, size, left - step


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
    costs: Costs
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
        moved = self.costs.traffic(features, Rates(self.task.arch).access_bytes)
        owners = np.arange(len(cut.threads), dtype=np.int32) % self.task.arch.threads_per_core
        return Phase(self.name, self.costs.counts(features), owners if self.pieces else cut.threads, moved)


def dealt_stage(task: Task, name: str, work: Counts, recipe: Recipe, body: Body, pieces: bool = False) -> Stage:
    """All rows dealt over all threads of all cores."""
    cores, costs = range(task.arch.cores), Costs.of(recipe)
    units = [DealtUnit(task, name, core, work, costs, body, pieces) for core in cores]
    return Stage(name, units, list(cores))


def thread_share_bytes(task: Task) -> float:
    """Bytes of scratchpad for each thread."""
    return task.arch.scratchpad_bytes * (1 - RESERVED) / task.arch.threads_per_core


def evenly(count: int, parts: int) -> Counts:
    """`count` in so many whole parts, as even as can be: (parts,)."""
    return np.asarray(count // parts + (np.arange(parts) < count % parts), dtype=np.int64)


@dataclass(frozen=True)
class Distribution:
    """The windows in order, the products estimated for each, the most results one may have, and the rows that were
    split by columns.
    """

    windows: list[Window]
    work: Counts
    largest: int
    split_rows: int

    def homes(self, cores: int) -> list[int]:
        """A core for each window: consecutive windows of about equal work."""
        middle = np.cumsum(self.work) - self.work / 2
        total = max(1, int(self.work.sum()))
        return [int(home) for home in np.minimum(cores - 1, middle * cores // total)]


def distribute(multiplies: Counts, columns: int, capacity: int, cores: int, options: FabricOptions) -> Distribution:
    """Windows whose results surely fit `capacity` slots, and enough of them for all cores.

    multiplies: (rows,), products of each. A row can have no more results than that, nor than columns. One that may have
    more than `capacity` is split by columns.
    """
    bounds = np.clip(multiplies, 1, columns)
    highest = int(bounds[bounds <= capacity].max(initial=1))
    target = min(capacity, max(highest, -(-int(bounds.sum()) // (cores * options.spread))))
    most = max(1, target // highest) if options.window == "rows" else len(bounds)
    limits = _limits(bounds.tolist(), target, most)
    windows: list[Window] = []
    work: list[int] = []
    for first, last in pairwise(limits):
        parts = 1
        if bounds[first] > capacity:
            parts = -(-columns // capacity)
        step = -(-columns // parts)
        for left in range(0, columns, step):
            windows.append(Window(first, last, left, min(left + step, columns)))
            work.append(int(multiplies[first:last].sum()) // parts)
    split = int((bounds > capacity).sum())
    return Distribution(windows, np.array(work, dtype=np.int64), capacity if split else target, split)


def _limits(bounds: list[int], capacity: int, most: int) -> list[int]:
    """First rows of the windows, and the end of the last."""
    limits, load = [0], 0
    for row, bound in enumerate(bounds):
        if row > limits[-1] and (load + bound > capacity or row - limits[-1] >= most):
            limits.append(row)
            load = 0
        load += bound
    return [*limits, len(bounds)]


COUNTING = Costs.of(
    {
        Feature.ROW: Step(integer=3, scratchpad=1, reads={"left": 2}, writes={"work": 1}),
        Feature.ELEMENT: Step(integer=3, reads={"left": 1, "right": 2}),  # a column, the pointers of its row
    }
)
LIMITS = Costs.of({Feature.ROW: Step(integer=4, scratchpad=2)})


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
        spread(features[:, Feature.ELEMENT], cut.first, cut.offset, sizes, task.options.event)
        word = Rates(task.arch).access_bytes
        counting = Phase("count", COUNTING.counts(features), cut.threads, COUNTING.traffic(features, word))
        total = np.zeros((1, len(Feature)), dtype=np.int64)
        total[0, Feature.ROW] = self.last - self.first
        return counting, Phase("limits", LIMITS.counts(total), serial=True)
