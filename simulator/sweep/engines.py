"""Where the points of a sweep are run: processes of this machine (joblib), or the workers of a dask cluster."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from simulator.sweep.point import Point
from workloads.errors import UserError

AHEAD = 2  # tasks a worker has waiting
RETRIES = 3  # times a task is given to another worker when its own has died
Evaluate = Callable[[Sequence[Point]], Sequence[dict[str, Any]]]


@dataclass(frozen=True)
class Task:
    """The points of a bucket that are still to be run."""

    bucket: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Done:
    """A task with a row a point."""

    task: Task
    rows: Sequence[dict[str, Any]]


class Engine(Protocol):
    """Runs tasks, taking the next one only when a worker is about to need it; results come in any order."""

    def run(self, evaluate: Evaluate, tasks: Iterable[Task]) -> Iterator[Done]: ...


@dataclass(frozen=True)
class LocalEngine:
    """`jobs` processes of this machine."""

    jobs: int

    def run(self, evaluate: Evaluate, tasks: Iterable[Task]) -> Iterator[Done]:
        """Raises UserError where a process dies, of too little memory for example."""
        if self.jobs == 1:
            yield from (_done(evaluate, task) for task in tasks)
            return
        from joblib import Parallel, delayed
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        pool = Parallel(self.jobs, return_as="generator_unordered", batch_size=1, pre_dispatch=AHEAD * self.jobs)
        results = pool(delayed(_done)(evaluate, task) for task in tasks)
        try:
            yield from results
        except TerminatedWorkerError:
            raise UserError(
                "a worker process has died (was it killed, or short of memory?); what was finished is kept, and the "
                "same command goes on from there"
            ) from None
        finally:
            results.close()


@dataclass(frozen=True)
class ClusterEngine:
    """The workers of a dask cluster."""

    client: Any

    def run(self, evaluate: Evaluate, tasks: Iterable[Task]) -> Iterator[Done]:
        """Raises UserError where a task has lost as many workers as it may."""
        from dask.distributed import KilledWorker, as_completed

        waiting = iter(tasks)
        most = AHEAD * max(1, sum(self.client.nthreads().values()))
        running = as_completed()
        for task in _first(waiting, most):
            running.add(self._submit(evaluate, task))
        for future in running:
            try:
                yield future.result()
            except KilledWorker as error:
                raise UserError(f"{RETRIES + 1} workers of the cluster died on the same points: {error}") from None
            for task in _first(waiting, 1):
                running.add(self._submit(evaluate, task))

    def _submit(self, evaluate: Evaluate, task: Task) -> Any:
        return self.client.submit(_done, evaluate, task, pure=False, retries=RETRIES)


def _done(evaluate: Evaluate, task: Task) -> Done:
    return Done(task, evaluate(task.points))


def _first(tasks: Iterator[Task], count: int) -> Iterator[Task]:
    for _, task in zip(range(count), tasks, strict=False):
        yield task


@contextmanager
def cluster(
    address: str, jobs: int, version: Callable[[], str], patience_seconds: float = 10
) -> Iterator[ClusterEngine]:
    """The cluster at an address, or with `local` a scheduler and `jobs` workers as processes of this machine.

    `version` is run everywhere: UserError where a worker has another version of the models, or nobody answers.
    """
    try:
        from dask import config
        from dask.distributed import Client, LocalCluster
    except ModuleNotFoundError:
        raise UserError("--cluster needs dask.distributed: pip install 'sparsehil[cluster]'") from None
    config.set({"distributed.scheduler.allowed-failures": RETRIES})
    try:
        own = LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=None) if address == "local" else None
        client = Client(own or address, timeout=patience_seconds)
    except (OSError, ValueError) as error:
        raise UserError(f"--cluster {address}: no scheduler answers: {error}") from None
    try:
        _check_versions(client, address, version)
        yield ClusterEngine(client)
    finally:
        client.close()
        if own:
            own.close()


def _check_versions(client: Any, address: str, version: Callable[[], str]) -> None:
    """Raises UserError where a worker's models, Python or packages are others than this process's."""
    found = client.run(version)
    if not found:
        raise UserError(f"--cluster {address}: the scheduler has no workers yet; start some with 'dask worker'")
    mine = version()
    for worker, theirs in found.items():
        if theirs != mine:
            raise UserError(
                f"--cluster {address}: worker {worker} has models of version {theirs}, here they are {mine}; install "
                f"the same sparsehil on both"
            )
    try:
        client.get_versions(check=True)
    except ValueError as error:
        raise UserError(f"--cluster {address}: client and workers differ: {' '.join(str(error).split())}") from None
