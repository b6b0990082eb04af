"""`simulate study pareto`: the accuracies of a study beside what each method's step costs on a machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli.options import ArchOption, BatchOption, SetOption

if TYPE_CHECKING:
    from reports.pareto import Cost
    from simulator.cli.choices import Choices


def study_pareto(
    accuracies: Annotated[Path, typer.Argument(help="accuracy.csv of `simulate study accuracy`.")],
    arch: ArchOption = "sat",
    model: Annotated[str, typer.Option("--model", help="The captured model whose step is simulated.")] = "resnet18",
    batch: BatchOption = None,
    settings: SetOption = [],  # noqa: B006
    out: Annotated[Path, typer.Option("--out", help="Folder for pareto.csv and the picture.")] = Path("pareto"),
) -> None:
    """Set accuracy against speed-up against energy, and find the points that no other beats in all three."""
    from rich.console import Console
    from rich.progress import track

    from reports.pareto import DENSE, pareto_table, read_accuracies
    from reports.terminal import wide_console
    from reports.validation import frame_table
    from simulator.cli.choices import Choices
    from workloads.errors import UserError

    table = read_accuracies(accuracies)
    base = Choices(arch=arch, patterns=(), method="bdwp", model=model, batch=batch, settings=tuple(settings))
    wanted = list(zip(table["method"].astype(str), table["pattern"].astype(str), strict=True))
    costs = {}
    for method, pattern in track(wanted, description="methods", transient=True, console=Console(stderr=True)):
        try:
            costs[method, pattern] = _cost(base, method, None if pattern == DENSE else pattern)
        except UserError as error:
            typer.echo(f"left out: {method} {pattern}: {error}", err=True)
    if not costs:
        raise UserError(f"{accuracies}: {arch} can run none of its methods")
    joined = pareto_table(table, costs)
    shown = joined.assign(on_front=joined["on_front"].map({True: "yes", False: ""}))
    wide_console().print(frame_table(shown.set_index("method")))
    _write(joined, f"accuracies of {accuracies.parent.resolve().name}, one {model} step on {arch}", out)


def _cost(base: "Choices", method: str, pattern: str | None) -> "Cost":
    from dataclasses import replace
    from math import nan

    from reports.energy import energy_total, has_energy
    from reports.pareto import Cost
    from simulator.cli.job import run_job

    job = run_job(replace(base, method=method, patterns=(pattern,) if pattern else ()), [])
    speedup = job.dense.cycles / job.sparse.cycles
    if not has_energy(job.sparse):
        return Cost(speedup, nan, nan, nan)
    total = energy_total(job.sparse)
    return Cost(speedup, total.joules, total.low, total.high)


def _write(table: object, words: str, out: Path) -> None:
    import pandas as pd

    from workloads.errors import UserError

    assert isinstance(table, pd.DataFrame)
    try:
        out.mkdir(parents=True, exist_ok=True)
        table.round(6).to_csv(out / "pareto.csv", index=False)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written: {error.strerror or error}") from None
    try:
        from reports.figures.pareto import pareto_figure
        from reports.figures.style import save_figure
    except ModuleNotFoundError:
        typer.echo("no picture: it needs matplotlib: pip install 'sparsehil[report]'", err=True)
        return
    save_figure(pareto_figure(table, words), out / "pareto")
    typer.echo(f"written: {out}/pareto.csv, pareto.png, pareto.svg")
