"""Search instead of enumeration: optuna proposes points, the sweep runs them; what it knows is kept in the folder.

It needs the extra `search`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import final

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from simulator.job import Job
from simulator.sweep.checks import Machines
from simulator.sweep.engines import Engine
from simulator.sweep.points import evaluate
from simulator.sweep.runner import Counts, Show, Sweep
from simulator.sweep.spec import SweepSpec, make_point
from simulator.sweep.store import Store
from workloads.errors import UserError, unknown_name
from workloads.files.lines import LineFile
from workloads.files.writing import not_written

DEFAULT = ("min:seconds", "min:energy_j", "min:pes")
AT_ONCE = 8  # proposals before results are looked at again
MISSES = 1000  # proposals in a row outside the constraints before it gives up
FAILURES = 100  # proposals in a row that cannot be run before it gives up
DAMAGED = "take it away to begin the search anew; points that were run stay"
DIRECTIONS = {"min": "minimize", "max": "maximize"}


def search_points(
    spec: SweepSpec,
    machines: Machines,
    store: Store,
    engine: Engine,
    wanted: int,
    objectives: Sequence[str],
    version: str,
    show: Show,
) -> Counts:
    """Run `wanted` points in all, those of earlier searches of the same space included; `check_search` comes first.

    Raises UserError for an objective that no row has, where the constraints leave too little to find, where no proposal
    can be run, and where another process searches in the folder: what it proposed and has not run yet would be taken
    for what a killed search left.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    goals = [_goal(text) for text in objectives or DEFAULT]
    sources = [machines.source(name) for name in spec.grid.get("arch", ())]
    with _logged(store.folder / "search.log"):
        study = _study(spec, store, goals, f"{version} {sources}")
        there, counts, failures = _finished(study), Counts(wanted), 0
        while there < wanted:
            asked = _asked(study, spec, machines, min(AT_ONCE, wanted - there))
            points = list(dict.fromkeys(asked.values()))
            batch = Sweep(points, store, version, lambda _: None).run(engine, evaluate)
            counts.run, counts.found = counts.run + batch.run, there + len(asked) - counts.run - batch.run
            counts.failed += batch.failed
            _tell(study, asked, store, goals, version)
            before, there = there, _finished(study)
            counts.good, failures = there, 0 if there > before else failures + len(asked)
            if failures >= FAILURES:
                raise UserError(_hopeless(failures, store, {point.key(version) for point in points}))
            show(counts)
        counts.good = there
    return counts


def check_search(spec: SweepSpec, machines: Machines, wanted: int) -> None:
    """Raises UserError for a search that cannot be: of too many points, or where constraints leave none."""
    if wanted < 1:
        raise UserError(f"--search {wanted}: must be at least 1")
    spec.limits.check("points", wanted, "--search")
    spec.check_expressions()
    if spec.points:
        raise UserError("--search: a space is made of axes; leave 'points' out")
    draw = Random(0)
    for _ in range(MISSES):
        if make_point(spec, {axis: draw.choice(values) for axis, values in spec.grid.items()}, machines):
            return
    raise UserError(f"none of {MISSES} proposals meets {' and '.join(spec.where)}")


def _finished(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)))


def _hopeless(failures: int, store: Store, keys: set[str]) -> str:
    _, first = store.errors(keys)
    why = f": {first.point}: {first.error}" if first else ""
    return f"none of the last {failures} proposals could be run; the first point that failed{why}"


@final
class _Lock:
    """The lock that optuna asks for at every line. It has nothing to do: this process holds the log all the time."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        """Nothing is to be given back."""


@contextmanager
def _logged(log: Path) -> Iterator[None]:
    """Hold the log, with every line whole; what optuna makes of one that cannot be written is a sentence."""
    busy = f"--search: another process searches in {log.parent}; wait for it, or stop it"
    with LineFile(log, busy, DAMAGED, lambda *_: None):
        try:
            yield
        except OSError as error:
            raise not_written(str(log), error) from None


def _goal(text: str) -> tuple[str, str]:
    direction, colon, column = text.partition(":")
    if not colon or direction not in DIRECTIONS or not column:
        raise UserError(f"--objective {text}: write min:COLUMN or max:COLUMN, such as min:seconds")
    return column, DIRECTIONS[direction]


def _study(spec: SweepSpec, store: Store, goals: Sequence[tuple[str, str]], version: str) -> optuna.Study:
    """The study of this space, taken up again where there is one; trials a killed search left open are closed."""
    space = repr((sorted(spec.grid.items()), sorted(spec.ties.items()), spec.where, goals, version))
    seed = int(sha256(space.encode()).hexdigest()[:8], 16)
    log = store.folder / "search.log"
    try:
        study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(log), _Lock())),
            study_name=f"{seed:08x}",
            directions=[direction for _, direction in goals],
            load_if_exists=True,
        )
        begun = len(study.get_trials(deepcopy=False))  # a search taken up again does not draw what it drew before
    except (LookupError, ValueError, TypeError, AttributeError, AssertionError) as error:  # lines of another meaning
        said = " ".join(str(error).split())
        raise UserError(f"{log}: is no log of a search: {type(error).__name__}: {said}; {DAMAGED}") from None
    study.sampler = optuna.samplers.TPESampler(seed=(seed + begun) % 2**32, multivariate=False)
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return study


def _asked(study: optuna.Study, spec: SweepSpec, machines: Machines, count: int) -> dict[int, Job]:
    """Points by trial; proposals outside the constraints are told so."""
    found: dict[int, Job] = {}
    for _ in range(MISSES):
        trial = study.ask()
        chosen = {axis: str(trial.suggest_categorical(axis, values)) for axis, values in spec.grid.items()}
        point = make_point(spec, chosen, machines)
        if point is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        found[trial.number] = point
        if len(found) == count:
            return found
    if found:
        return found
    raise UserError(f"none of {MISSES} proposals meets {' and '.join(spec.where)}")


def _tell(
    study: optuna.Study, asked: Mapping[int, Job], store: Store, goals: Sequence[tuple[str, str]], version: str
) -> None:
    rows = {
        row["key"]: row for bucket in {each.bucket(version) for each in asked.values()} for row in store.rows(bucket)
    }
    for number, point in asked.items():
        row = rows.get(point.key(version))
        if row is None:
            study.tell(number, state=optuna.trial.TrialState.FAIL)
            continue
        for column, _ in goals:
            if not isinstance(row.get(column), int | float):
                numeric = [name for name, value in row.items() if isinstance(value, int | float)]
                raise unknown_name("objective", column, numeric, "--objective")
        study.tell(number, [float(row[column]) for column, _ in goals])
