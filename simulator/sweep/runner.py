"""Running a sweep: what is finished is skipped, what another process is at is left to it."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from filelock import FileLock

from simulator.job import Job
from simulator.sweep.engines import Done, Engine, Evaluate, Task
from simulator.sweep.store import PointError, Store
from workloads.errors import UserError

ERROR = "error"  # the field that a failed point's row has instead of results
POLL_SECONDS = 0.5
Show = Callable[["Counts"], None]


@dataclass
class Counts:
    """Points by what became of them. Not frozen: it follows a sweep.

    found: those that were run, or had failed, before. good: those that have results, of all.
    """

    all: int
    found: int = 0
    run: int = 0
    failed: int = 0
    good: int = 0

    @property
    def left(self) -> int:
        return max(0, self.all - self.found - self.run - self.failed)

    @property
    def words(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.run} run, {self.found} there already{failed}, {self.left} left"


class Sweep:
    """The points of a sweep in their folder, under one version of the models."""

    def __init__(self, points: Sequence[Job], store: Store, version: str, show: Show, retry: bool = False) -> None:
        self.store = store
        self.show = show
        self.retry = retry
        self.counts = Counts(len(points))
        self._held: dict[str, FileLock] = {}
        self._good: dict[str, int] = {}
        self._stopped: Exception | None = None
        self._buckets: dict[str, dict[str, Job]] = defaultdict(dict)
        for point in points:
            self._buckets[point.bucket(version)][point.key(version)] = point

    @property
    def keys(self) -> set[str]:
        """The keys of all points."""
        return {key for points in self._buckets.values() for key in points}

    def run(self, engine: Engine, evaluate: Evaluate) -> Counts:
        """Run every point that nobody has run. Raises UserError where results cannot be written."""
        waiting = [bucket for bucket in self._buckets if self._missing_counted(bucket)]
        while waiting:
            busy: list[str] = []
            try:
                for done in engine.run(evaluate, self._claimed(waiting, busy)):
                    self._keep(done)
            finally:
                for bucket in list(self._held):
                    self._held.pop(bucket).release()
            if self._stopped:
                raise self._stopped
            waiting = busy
            if waiting:
                time.sleep(POLL_SECONDS)
        self.counts.good = sum(self._good.values())
        return self.counts

    def _claimed(self, buckets: Sequence[str], busy: list[str]) -> Iterator[Task]:
        """Tasks of the buckets whose lock can be had; `busy` gathers the others.

        An error ends them and is kept: threads of an engine ask for tasks, and no one would hear of it there.
        """
        try:
            for bucket in buckets:
                lock = self.store.claim(bucket)
                if lock is None:
                    busy.append(bucket)
                    continue
                self._held[bucket] = lock
                if missing := self._missing_counted(bucket):  # somebody may have finished it just now
                    self.counts.found += len(self._buckets[bucket]) - len(missing)
                    yield Task(bucket, tuple(missing.values()))
                else:
                    self._held.pop(bucket).release()
        except (UserError, OSError) as error:
            self._stopped = error

    def _missing_counted(self, bucket: str) -> Mapping[str, Job]:
        """The points of a bucket that are to be run; where there is none the bucket is counted as found."""
        there = {str(row["key"]) for row in self.store.rows(bucket)}
        points = self._buckets[bucket]
        without = {key: point for key, point in points.items() if key not in there}
        missing = without if self.retry else {key: each for key, each in without.items() if not self.store.failed(key)}
        self._good[bucket] = len(points) - len(without)
        if not missing:
            self.counts.found += len(points)
            self.show(self.counts)
        return missing

    def _keep(self, done: Done) -> None:
        bucket = done.task.bucket
        keys = {point: key for key, point in self._buckets[bucket].items()}
        good = []
        for point, row in zip(done.task.points, done.rows, strict=True):
            if ERROR in row:
                self.store.fail(PointError(keys[point], point.describe(), str(row[ERROR])))
                self.counts.failed += 1
            else:
                good.append({"key": keys[point], **row})
        if good:
            self.store.write(bucket, [*self.store.rows(bucket), *good])
            self.store.forgive(str(row["key"]) for row in good)
            self.counts.run += len(good)
            self._good[bucket] += len(good)
        self._held.pop(bucket).release()
        self.show(self.counts)
