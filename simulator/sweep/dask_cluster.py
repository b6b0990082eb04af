"""The workers of a dask cluster, which carry out the tasks of a sweep. It needs the extra `cluster`."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dask import config
from dask.distributed import Client, Future, KilledWorker, LocalCluster, as_completed

from simulator.sweep.engines import AHEAD, Done, Evaluate, Task, carried_out, without_interrupts
from workloads.errors import UserError

RETRIES = 3  # times a task is given to another worker when its own has died


@dataclass(frozen=True)
class ClusterEngine:
    """The workers of a dask cluster."""

    client: Client

    def run(self, evaluate: Evaluate, tasks: Iterable[Task]) -> Iterator[Done]:
        """Raises UserError where a task has lost as many workers as it may."""
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

    def _submit(self, evaluate: Evaluate, task: Task) -> Future:
        return self.client.submit(carried_out, evaluate, task, pure=False, retries=RETRIES)


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
    config.set({"distributed.scheduler.allowed-failures": RETRIES})
    try:
        with without_interrupts():
            own = _started(jobs) if address == "local" else None
        client = Client(own or address, timeout=patience_seconds)
    except (OSError, ValueError) as error:
        raise UserError(f"--cluster {address}: no scheduler answers: {error}") from None
    try:
        _check_versions(client, address, version)
        yield ClusterEngine(client)
    except KeyboardInterrupt:
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # of points that are given up nobody need hear
        raise
    finally:
        client.close()
        if own:
            own.close()


def _started(jobs: int) -> LocalCluster:
    """A scheduler and workers here. These write nothing: what is wrong with a point is in its row."""
    environ = {**config.get("distributed.nanny.pre-spawn-environ", {}), "DASK_LOGGING__DISTRIBUTED": "critical"}
    config.set({"distributed.nanny.pre-spawn-environ": environ})
    where = "127.0.0.1:0"  # of its page: a port that is free, where None would try the same one each time
    return LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=where)


def _check_versions(client: Client, address: str, version: Callable[[], str]) -> None:
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
