"""Run many design points, each once; stop it as you like, the same command goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import simulator
from simulator import sweep as sweeps
from workloads.errors import UserError
from workloads.files.limits import parse_limits
from workloads.options import LimitOption, ProcessesOption
from workloads.registry import VIEWS, load_entry
from workloads.terminal import say

if TYPE_CHECKING:
    from simulator.sweep.engines import Engine
    from simulator.sweep.runner import Counts
    from simulator.sweep.spec import SweepSpec
    from simulator.sweep.store import PointError

Texts = list[str]


def sweep(
    spec: Annotated[Path | None, typer.Argument(help="A sweep in YAML: axes, set, tie, where, points.")] = None,
    grid: Annotated[
        Texts,
        typer.Option("--grid", help="AXIS=A,B,C or AXIS=LOW..HIGH:STEP; a field of the machine, or batch. Repeatable."),
    ] = [],  # noqa: B006
    arch: Annotated[str | None, typer.Option("--arch", help="Machines, with commas. [default: sat]")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Captured models, with commas.")] = None,
    pattern: Annotated[str | None, typer.Option("--pattern", help="n:m or dense, with commas.")] = None,
    method: Annotated[
        str | None, typer.Option("--method", help="Training methods, with commas. [default: bdwp]")
    ] = None,
    batch: Annotated[str | None, typer.Option("--batch", help="Batches, with commas. [default: as recorded]")] = None,
    tie: Annotated[
        Texts, typer.Option("--tie", help="FIELD=EXPRESSION of other fields: north.x=2*array.rows. Repeatable.")
    ] = [],  # noqa: B006
    where: Annotated[
        Texts, typer.Option("--where", help="What must hold: 'array.rows * array.cols <= 1024'. Repeatable.")
    ] = [],  # noqa: B006
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The sweep's folder; one there is gone on with. [default: results/sweep]"),
    ] = None,
    jobs: ProcessesOption = 0,
    cluster: Annotated[
        str | None, typer.Option("--cluster", help="tcp://HOST:PORT of a dask scheduler, or local to start one here.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Run points again that have failed before.")] = False,
    no_capacity: Annotated[
        bool, typer.Option("--no-capacity", help="Go on where a step does not fit the machine's DRAM.")
    ] = False,
    search: Annotated[
        int, typer.Option("--search", help="Do not run all points: let optuna choose this many.", show_default=False)
    ] = 0,
    objective: Annotated[
        Texts,
        typer.Option(
            "--objective", help="min:COLUMN or max:COLUMN of the rows, for --search and --report. Repeatable."
        ),
    ] = [],  # noqa: B006
    limit: LimitOption = [],  # noqa: B006
    report: Annotated[
        bool, typer.Option("--report", help="Write the sweep's page from what the folder holds.")
    ] = False,
) -> None:
    """Run many design points, each once; stop it as you like, the same command goes on. --report shows the results.

    Points that cannot be run leave their reason in the folder and the others go on. Exit code 2 where none could be.
    """
    lists = {"arch": arch, "model": model, "pattern": pattern, "method": method, "batch": batch}
    axes = [*grid, *(f"{axis}={values}" for axis, values in lists.items() if values is not None)]
    folder = out or Path("results/sweep")
    if spec or axes:
        line = sweeps.from_grid(axes, tie, where, parse_limits(limit))
        asked = replace(sweeps.joined(sweeps.read_spec(spec), line) if spec else line, check_capacity=not no_capacity)
        _tell(folder, *_run(asked, folder, _How(jobs, cluster, retry, search, tuple(objective))))
    elif not report:
        raise UserError("give a sweep: a YAML file, or --model, --pattern and --grid; or --report for one that has run")
    if report:
        sweeps.Store(folder).check_described()
        say(f"page: {load_entry(VIEWS, 'view', 'sweep')(folder, tuple(objective))}")


@dataclass(frozen=True)
class _How:
    """Where points are run, and which of them."""

    jobs: int
    cluster: str | None
    retry: bool
    search: int
    objectives: tuple[str, ...]


def _run(asked: "SweepSpec", folder: Path, how: _How) -> "tuple[Counts, int, PointError | None]":
    """What came of the points, how many of them have left an error, and one of these; a search does not name one."""
    machines = sweeps.checked(asked)
    version = sweeps.model_version()
    points = [] if how.search else sweeps.expand(asked, machines)
    told = {"version": version, "grid": dict(asked.grid), "ties": dict(asked.ties), "where": list(asked.where)}
    store = sweeps.Store(folder)
    with _engine(how) as engine, simulator.counted("point") as counted:

        def show(counts: "Counts") -> None:
            counted(counts.all - counts.left, counts.all, counts.words)

        if how.search:
            search = sweeps.search_points  # and with it optuna, before the folder is made
            sweeps.check_search(asked, machines, how.search)
        store.open()
        store.describe(told)
        if how.search:
            counts = search(asked, machines, store, engine, how.search, how.objectives, version, show)
            return counts, counts.failed, None
        run = sweeps.Sweep(points, store, version, show, how.retry)
        return run.run(engine, sweeps.evaluate), *store.errors(run.keys)


@contextmanager
def _engine(how: _How) -> "Iterator[Engine]":
    workers = sweeps.workers(how.jobs)
    if how.cluster is None:
        yield sweeps.LocalEngine(workers)
        return
    with sweeps.cluster(how.cluster, workers, sweeps.model_version) as engine:
        yield engine


def _tell(folder: Path, counts: "Counts", failed: int, first: "PointError | None") -> None:
    """Say what came of a sweep. Raises UserError where no point has results."""
    say(f"{counts.all} points: {counts.words}; rows in {folder}/points/*.parquet")
    why = f"(why is in {folder}/errors)"
    if first:
        why = f"(--retry runs them again), the first: {first.point}: {first.error}"
    if not counts.good:
        raise UserError(f"none of {counts.all} points could be run {why}")
    if failed:
        say(f"{failed} failed {why}")
