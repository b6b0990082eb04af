"""Where the points of a sweep are run: processes of this machine (joblib). `cluster` has those of a dask cluster."""

import os
import signal
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from threading import current_thread, main_thread
from types import FrameType
from typing import Protocol

from joblib import Parallel, delayed
from joblib.externals.loky.backend import resource_tracker as loky_tracker
from joblib.externals.loky.process_executor import TerminatedWorkerError

from simulator.job import Job
from simulator.rows import Row
from workloads.errors import UserError
from workloads.files.limits import JOBS

AHEAD = 2  # tasks a worker has waiting
# of a sweep that is interrupted; they are run again next time
GIVEN_UP = r"\d+ tasks (have been successfully executed|which were still)"
Evaluate = Callable[[Sequence[Job]], Sequence[Row]]


@dataclass(frozen=True)
class Task:
    """The points of a bucket that are still to be run."""

    bucket: str
    points: tuple[Job, ...]


@dataclass(frozen=True)
class Done:
    """A task with a row a point."""

    task: Task
    rows: Sequence[Row]


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
            yield from (carried_out(evaluate, task) for task in tasks)
            return
        pool = Parallel(self.jobs, return_as="generator_unordered", batch_size=1, pre_dispatch=AHEAD * self.jobs)
        try:
            with interrupts_kept(), ExitStack() as end:
                with without_interrupts():
                    results = pool(delayed(carried_out)(evaluate, task) for task in tasks)
                    end.callback(give_up, results)
                for done in results:  # noqa: UP028 - that would close it too, and not only `give_up`
                    yield done
        except TerminatedWorkerError:
            raise UserError(
                "a worker process has died (was it killed, or short of memory?); what was finished is kept, and the "
                "same command goes on from there"
            ) from None


def workers(jobs: int) -> int:
    """Processes for `--jobs`, one a core where it is 0. Raises UserError for a number that cannot be."""
    if jobs < 0:
        raise UserError(f"--jobs {jobs}: must be at least 1")
    if jobs > JOBS:
        raise UserError(f"--jobs {jobs}: at most {JOBS:,} processes are started")
    return jobs or len(os.sched_getaffinity(0))


def give_up(results: Generator[Done]) -> None:
    """End a pool, whatever of it is left."""
    with warnings.catch_warnings():  # of the whole process, so for as short a time as can be
        warnings.filterwarnings("ignore", GIVEN_UP, UserWarning)
        results.close()


def carried_out(evaluate: Evaluate, task: Task) -> Done:
    return Done(task, evaluate(task.points))


@contextmanager
def interrupts_kept() -> Iterator[None]:
    """Raises KeyboardInterrupt at the end for a Ctrl-C that got lost inside.

    Python drops one that comes while an object is taken down or a callback runs, as a pool does all the time. Threads
    of a pool that is ended by force print what they think of it, which nobody needs to read: it has to end inside.
    """
    if current_thread() is not main_thread():
        yield
        return
    noted: list[int] = []
    before, hook = signal.getsignal(signal.SIGINT), threading.excepthook

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        threading.excepthook = lambda _: None
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        threading.excepthook = hook
    if noted:
        raise KeyboardInterrupt


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Processes that are started inside never see Ctrl-C, which a terminal sends to all: this one alone ends them.

    What is blocked is handed down to them, and to those that are started in their place. Here it waits until the block
    ends: a process that is half started could not be ended.
    """
    resource_tracker.ensure_running()  # it would unblock the signal when it is started later
    loky_tracker.ensure_running()
    noted: list[int] = []
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    main = current_thread() is main_thread()
    # other threads of the process do not block it, and Python would raise it here
    handler = signal.signal(signal.SIGINT, lambda number, _: noted.append(number)) if main else None
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if main:
            signal.signal(signal.SIGINT, handler)
            for number in noted[:1]:
                signal.raise_signal(number)
