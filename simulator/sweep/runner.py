"""Running a sweep: what is finished is skipped, what another process is at is left to it."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from filelock import FileLock, Timeout

from simulator.job import Job
from simulator.sweep.engines import Done, Engine, Evaluate, Task
from simulator.sweep.store import Store

ERROR = "error"  # the field that a failed point's row has instead of results
POLL_SECONDS = 0.5
Show = Callable[["Counts"], None]


@dataclass
class Counts:
    """Points by what became of them. Not frozen: it follows a sweep."""

    all: int
    found: int = 0
    run: int = 0
    failed: int = 0

    @property
    def left(self) -> int:
        return self.all - self.found - self.run - self.failed

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
        self._buckets: dict[str, dict[str, Job]] = defaultdict(dict)
        for point in points:
            self._buckets[point.bucket(version)][point.key(version)] = point

    def run(self, engine: Engine, evaluate: Evaluate) -> Counts:
        """Run every point that nobody has run. Raises UserError where results cannot be written."""
        waiting = list(self._buckets)
        while waiting:
            busy: list[str] = []
            try:
                for done in engine.run(evaluate, self._claimed(waiting, busy)):
                    self._keep(done)
            finally:
                for bucket in list(self._held):
                    self._held.pop(bucket).release()
            waiting = busy
            if waiting:
                time.sleep(POLL_SECONDS)
        return self.counts

    def _claimed(self, buckets: Sequence[str], busy: list[str]) -> Iterator[Task]:
        """Tasks of the buckets whose lock can be had; `busy` gathers the others."""
        for bucket in buckets:
            if not self._missing(bucket):
                self._skip(bucket)
                continue
            lock = self.store.lock(bucket)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                busy.append(bucket)
                continue
            missing = self._missing(bucket)  # somebody may have finished it just now
            if not missing:
                lock.release()
                self._skip(bucket)
                continue
            self._held[bucket] = lock
            self.counts.found += len(self._buckets[bucket]) - len(missing)
            yield Task(bucket, tuple(missing.values()))

    def _missing(self, bucket: str) -> Mapping[str, Job]:
        finished = {str(row["key"]) for row in self.store.rows(bucket)}
        points = {key: point for key, point in self._buckets[bucket].items() if key not in finished}
        if self.retry:
            return points
        return {key: point for key, point in points.items() if self.store.error(key) is None}

    def _skip(self, bucket: str) -> None:
        self.counts.found += len(self._buckets[bucket])
        self.show(self.counts)

    def _keep(self, done: Done) -> None:
        bucket = done.task.bucket
        keys = {point: key for key, point in self._buckets[bucket].items()}
        good = []
        for point, row in zip(done.task.points, done.rows, strict=True):
            if ERROR in row:
                self.store.fail(keys[point], {"key": keys[point], "point": point.describe(), **row})
                self.counts.failed += 1
            else:
                good.append({"key": keys[point], **row})
        if good:
            self.store.write(bucket, [*self.store.rows(bucket), *good])
            self.store.forgive(str(row["key"]) for row in good)
            self.counts.run += len(good)
        self._held.pop(bucket).release()
        self.show(self.counts)
