"""Processes of a sweep leave nothing behind in the process that asks for them."""

import signal
import threading
import warnings

import pytest

from simulator.sweep.engines import LocalEngine, Task, interrupts_kept


def test_an_interrupt_leaves_the_words_of_threads_alone() -> None:
    hook = threading.excepthook
    with pytest.raises(KeyboardInterrupt), interrupts_kept():
        signal.raise_signal(signal.SIGINT)
    assert threading.excepthook is hook


def test_tasks_that_are_given_up_leave_warnings_alone() -> None:
    before = list(warnings.filters)
    results = LocalEngine(2).run(list, (Task(str(number), ()) for number in range(20)))
    assert next(results).rows == []
    results.close()  # type: ignore[attr-defined]
    assert warnings.filters == before
