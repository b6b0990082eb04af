"""The runs of `simulate study accuracy`, and the report on them. Needs the extra `train`."""

import platform
from collections.abc import Sequence
from pathlib import Path

from reports import figures
from reports.accuracy import DENSE, Run, accuracy_table, accuracy_texts, beyond_noise, print_accuracy, runs_frame
from reports.output import write_folder
from workloads.errors import UserError
from workloads.terminal import say
from workloads.training.run import prepare
from workloads.training.run_log import Show, training_shown
from workloads.training.settings import Settings
from workloads.training.study import Cell, Record, cells, open_study, outcomes, work_off


def run_accuracy(out: Path, common: Settings, wanted: tuple[Sequence[str], Sequence[str], int], command: str) -> None:
    """Train what is not trained yet, and report on all. wanted: methods, patterns, and how many seeds.

    Every method and pattern is tried before the first run, which may take long. Raises UserError for a mistake, and
    where another process has all runs.
    """
    todo = cells(*wanted)
    for cell in [cell for cell in todo if cell.seed == 0]:
        prepare(cell.settings(common))
    open_study(out, common)
    _train(out, common, todo)
    _report(out, todo, command)


def _train(out: Path, common: Settings, todo: Sequence[Cell]) -> None:
    with training_shown() as show:

        def announced(cell: Cell, number: int, of: int) -> Show:
            say(f"run {number} of {of}: {cell.name}")
            return show

        for cell in work_off(out, common, todo, announced):
            (_, result), *_ = outcomes(out, [cell])
            say(f"{cell.name}: test accuracy {100 * result.accuracy:.2f} %, {result.seconds:.0f} s")


def _report(out: Path, todo: Sequence[Cell], command: str) -> None:
    found = outcomes(out, todo)
    if not found:
        raise UserError(f"--out {out}: another process trains there, and no run has come to its end yet")
    if len(found) < len(todo):
        say(f"{len(todo) - len(found)} of {len(todo)} runs are still trained by another process; here is the rest")
    runs = runs_frame(_run(cell, result) for cell, result in found)
    table, noise, title = accuracy_table(runs), beyond_noise(runs), _title(found[0][1])
    print_accuracy(table, noise, title)
    note = f"{title}. Made by `{command}`, on {platform.machine()} with one thread."
    texts = accuracy_texts(runs, table, noise, note)
    if write_folder(out, texts, lambda: {"accuracy": figures.accuracy_figure(table, title)}):
        say(f"the study is in {out}: accuracy.png, accuracy.csv, runs.csv")


def _run(cell: Cell, result: Record) -> Run:
    right, tested = result.test_right, result.test_examples
    return Run(cell.method, cell.pattern or DENSE, cell.seed, right, tested, result.steps, result.seconds)


def _title(result: Record) -> str:
    settings = result.settings
    width = "" if settings.width == 1 else f" at width {settings.width:g}"
    return f"{result.model}{width} on {result.data}, {result.steps} steps of {settings.batch}"
