"""`simulate sweep`: thousands of design points, each run once, on this machine or a cluster."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from simulator.sweep.engines import Engine
    from simulator.sweep.runner import Counts
    from simulator.sweep.spec import SweepSpec
    from simulator.sweep.store import Store

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
    jobs: Annotated[int, typer.Option("--jobs", help="Processes. [default: one a core]", show_default=False)] = 0,
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
    report: Annotated[
        bool, typer.Option("--report", help="Write the sweep's page from what the folder holds.")
    ] = False,
) -> None:
    """Run many design points, each once; stop it as you like, the same command goes on. --report shows the results."""
    from simulator.sweep.store import Store

    lists = {"arch": arch, "model": model, "pattern": pattern, "method": method, "batch": batch}
    axes = [*grid, *(f"{axis}={values}" for axis, values in lists.items() if values is not None)]
    store = Store(out or Path("results/sweep"))
    if spec or axes:
        asked = _asked(spec, axes, tie, where, no_capacity)
        _run(asked, store, jobs, cluster, retry, search, objective)
    elif not report:
        from workloads.errors import UserError

        raise UserError("give a sweep: a YAML file, or --model, --pattern and --grid; or --report for one that has run")
    if report:
        _report(store, objective)


def _asked(spec: Path | None, axes: Texts, ties: Texts, where: Texts, no_capacity: bool) -> "SweepSpec":
    from dataclasses import replace

    from simulator.sweep.spec import from_grid, joined, read_spec

    line = from_grid(axes, ties, where)
    return replace(joined(read_spec(spec), line) if spec else line, check_capacity=not no_capacity)


def _run(
    asked: "SweepSpec",
    store: "Store",
    jobs: int,
    cluster: str | None,
    retry: bool,
    search: int,
    objectives: Texts,
) -> None:
    from simulator.cli.sweep_checks import checked_fields, version_of
    from simulator.sweep.spec import expand

    fields = checked_fields(asked)
    version = version_of(asked)
    points = [] if search else expand(asked, fields)
    told = {"version": version, "grid": dict(asked.grid), "ties": dict(asked.ties), "where": list(asked.where)}
    with _engine(cluster, jobs) as engine:
        store.open()
        store.describe(told)
        if search:
            from simulator.cli.sweep_search import search_points

            counts = search_points(asked, fields, store, engine, search, objectives, version)
        else:
            from simulator.cli.progress import points_shown
            from simulator.cli.sweep_points import evaluate
            from simulator.sweep.runner import Sweep

            with points_shown() as show:
                counts = Sweep(points, store, version, show, retry).run(engine, evaluate)
    _tell(counts, store)


@contextmanager
def _engine(cluster_address: str | None, jobs: int) -> "Iterator[Engine]":
    import os

    from simulator.sweep.engines import LocalEngine, cluster
    from simulator.sweep.version import model_version
    from workloads.errors import UserError

    if jobs < 0:
        raise UserError(f"--jobs {jobs}: must be at least 1")
    workers = jobs or len(os.sched_getaffinity(0))
    if cluster_address is None:
        yield LocalEngine(workers)
        return
    with cluster(cluster_address, workers, model_version) as engine:
        yield engine


def _tell(counts: "Counts", store: "Store") -> None:
    typer.echo(f"{counts.all} points: {counts.words}; rows in {store.folder}/points/*.parquet")
    errors = store.errors()
    if errors:
        typer.echo(
            f"{len(errors)} failed (--retry runs them again), the first: {errors[0]['point']}: {errors[0]['error']}"
        )


def _report(store: "Store", objectives: Sequence[str]) -> None:
    from workloads.errors import UserError

    store.description()
    try:
        from reports.sweep_page import write_page
    except ModuleNotFoundError as error:
        raise UserError(f"--report needs the package '{error.name}': pip install 'sparsehil[report]'") from None
    typer.echo(f"page: {write_page(store.folder, tuple(objectives))}")
