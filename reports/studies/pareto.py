"""Set accuracy against speed-up against energy, and find the points that no other beats in all three."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from os.path import realpath
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from reports import figures
from reports.energy import energy_total, has_energy
from reports.output import csv_texts, frame_table, tracked, wide_console, write_folder
from reports.studies.csv_table import read_csv
from simulator.job import Job, Source
from simulator.result import Result
from simulator.runner import run_job
from simulator.runs import Runs
from workloads.errors import UserError
from workloads.options import ArchOption, BatchOption, SetOption
from workloads.terminal import note, say
from workloads.work import Work

NEEDED = {"method", "pattern", "accuracy", "accuracy_ci95"}
DENSE = "dense"


def study_pareto(
    accuracies: Annotated[Path, typer.Argument(help="accuracy.csv of `simulate study accuracy`.")],
    arch: ArchOption = "sat",
    model: Annotated[str, typer.Option("--model", help="The captured model whose step is simulated.")] = "resnet18",
    batch: BatchOption = None,
    settings: SetOption = [],  # noqa: B006
    out: Annotated[
        Path, typer.Option("--out", help="Folder for pareto.csv and the picture; older ones are replaced.")
    ] = Path("pareto"),
) -> None:
    """Set accuracy against speed-up against energy, and find the points that no other beats in all three."""
    table, runs, costs = read_accuracies(accuracies), Runs(), {}
    base = Job(Source(arch), Work(model=model, batch=batch), settings=tuple(settings))
    wanted = list(zip(table["method"], table["pattern"], strict=True))
    for method, pattern in tracked(wanted, "methods"):
        job = replace(base, method=method, patterns=None if pattern == DENSE else (pattern,))
        try:
            costs[method, pattern] = cost_of(run_job(job, runs))
        except UserError as error:
            note(f"left out: {method} {pattern}: {error}")
    if not costs:
        raise UserError(f"{accuracies}: {arch} can run none of its methods")
    joined = pareto_table(table, costs)
    shown = joined.assign(on_front=joined["on_front"].map({True: "yes", False: ""}))
    wide_console().print(frame_table(shown.set_index("method")))
    words = f"accuracies of {Path(realpath(accuracies.parent)).name}, one {model} step on {arch}"
    if write_folder(out, csv_texts({"pareto": joined}, 6), lambda: {"pareto": figures.pareto_figure(joined, words)}):
        say(f"written: {out}/pareto.csv, pareto.png, pareto.svg")


@dataclass(frozen=True)
class StepCost:
    """What a step costs on the machine. Energies are NaN without an energy table."""

    speedup: float
    joules: float
    low_joules: float
    high_joules: float


def cost_of(result: Result) -> StepCost:
    """What a step costs beside the best dense one."""
    if not has_energy(result):
        return StepCost(result.speedup, nan, nan, nan)
    total = energy_total(result)
    return StepCost(result.speedup, total.joules, total.low, total.high)


def read_accuracies(path: Path) -> pd.DataFrame:
    """The table of `simulate study accuracy`. Raises UserError for anything else."""
    table = pd.DataFrame(read_csv(path, "a table of accuracies is CSV", NEEDED))
    missing = NEEDED - set(table.columns) if len(table) else set[str]()
    if missing or table.empty:
        what = f"it has no column '{min(missing)}'" if missing else "it has no rows"
        raise UserError(f"{path}: is not what `simulate study accuracy` writes (accuracy.csv): {what}")
    for name in ("accuracy", "accuracy_ci95"):
        table[name] = pd.to_numeric(table[name], errors="coerce")
    if not table["accuracy"].between(0, 100).all():
        raise UserError(f"{path}: accuracy: holds what is no number from 0 to 100")
    return table


def pareto_table(accuracies: pd.DataFrame, costs: Mapping[tuple[str, str], StepCost]) -> pd.DataFrame:
    """A row a (method, pattern) with both an accuracy (%) and a cost; `on_front` where no other row is better.

    One row is better than another when it is at least as good in accuracy, speed-up and energy, and better in one.
    """
    rows = [
        {**row, **vars(costs[str(row["method"]), str(row["pattern"])])}
        for row in accuracies[sorted(NEEDED)].to_dict("records")
        if (str(row["method"]), str(row["pattern"])) in costs
    ]
    table = pd.DataFrame(rows)[["method", "pattern", "accuracy", "accuracy_ci95", *StepCost.__dataclass_fields__]]
    points = [
        (float(row["accuracy"]), float(row["speedup"]), -float(row["joules"])) for row in table.to_dict("records")
    ]
    known = [tuple(each for each in point if each == each) for point in points]  # NaN energies are left out
    return table.assign(on_front=[not any(_beats(other, mine) for other in known) for mine in known])


def _beats(other: Sequence[float], mine: Sequence[float]) -> bool:
    return all(a >= b for a, b in zip(other, mine, strict=True)) and tuple(other) != tuple(mine)
