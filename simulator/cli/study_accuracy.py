"""`simulate study accuracy`: how well each method trains at each pattern, over several seeds."""

import os
import platform
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from workloads.training.run import Show
    from workloads.training.settings import Settings
    from workloads.training.study import Cell

METHODS = ["dense", "srste", "bdwp", "bimask", "sdgp"]
PATTERNS = ["2:4", "2:8", "1:8"]
LARGEST = 1000  # seeds


def study_accuracy(
    model: Annotated[str, typer.Option("--model", help="A registered model.")] = "resnet18",
    methods: Annotated[list[str], typer.Option("--method", help="Repeatable.")] = METHODS,
    patterns: Annotated[list[str], typer.Option("--pattern", help="n:m. Repeatable.")] = PATTERNS,
    seeds: Annotated[int, typer.Option("--seeds", help="Runs of each, from seed 0.")] = 5,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="As for `simulate train`. [default: digits or text]")
    ] = None,
    data_folder: Annotated[Path | None, typer.Option("--data-folder", help="Where the data set's files are.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Train on so many images, test on no more.")] = None,
    image: Annotated[int | None, typer.Option("--image", help="Side of the images. [default: theirs, or 32]")] = None,
    width: Annotated[float, typer.Option("--width", help="Channels, as a share of the model's own.")] = 1.0,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Times over the data. [default: 1]")] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Steps, instead of epochs.", show_default=False)] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", help="Images or texts a step. [default: 128 images, 8 texts]")
    ] = None,
    rate: Annotated[float | None, typer.Option("--lr", help="Learning rate of all. [default: the model's]")] = None,
    weight_decay: Annotated[float, typer.Option("--weight-decay", help="Of every parameter.")] = 1e-4,
    out: Annotated[Path, typer.Option("--out", help="Folder of the study; one that is there goes on.")] = Path(
        "results/study-accuracy"
    ),
) -> None:
    """Train methods x patterns x seeds, and write the table and the plot. Stopped, it goes on when started again.

    Runs share what the seed fixes: the first weights and the order of the data. A second process started on the same
    folder takes a share of the runs.
    """
    from workloads.errors import UserError

    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if not 2 <= seeds <= LARGEST:
        raise UserError(f"--seeds {seeds}: a spread needs at least 2, and {LARGEST} are enough")
    try:
        from workloads.training.settings import Settings
        from workloads.training.study import cells, open_study

        common = Settings(
            model=model,
            method="dense",
            dataset=dataset,
            data_folder=None if data_folder is None else str(data_folder.resolve()),
            limit=limit,
            image=image,
            width=width,
            epochs=epochs,
            steps=steps,
            batch=batch,
            learning_rate=rate,
            weight_decay=weight_decay,
        )
        todo = cells(methods, patterns, seeds)
        _check(common, todo)
        open_study(out, common)
        _train(out, common, todo)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("torch", "sklearn"):
            raise
        raise UserError(
            f"training needs the package '{package}', which is missing: pip install 'sparsehil[train]'"
        ) from None
    _report(out, todo)


def _check(common: "Settings", todo: "list[Cell]") -> None:
    """Every method and pattern is tried before the first run, which may take long. Raises UserError."""
    from workloads.training.preparing import prepare

    for cell in [cell for cell in todo if cell.seed == 0]:
        prepare(cell.settings(common))


def _train(out: Path, common: "Settings", todo: "list[Cell]") -> None:
    from simulator.cli.progress import training_shown
    from workloads.training.study import outcomes, work_off

    with training_shown() as show:

        def announced(cell: "Cell", number: int, of: int) -> "Show":
            typer.echo(f"run {number} of {of}: {cell.name}")
            return show

        for cell in work_off(out, common, todo, announced):
            (_, result), *_ = outcomes(out, [cell])
            typer.echo(f"{cell.name}: test accuracy {100 * result['test_accuracy']:.2f} %, {result['seconds']:.0f} s")


def _report(out: Path, todo: "list[Cell]") -> None:
    from reports.accuracy import DENSE, Run, accuracy_table, beyond_noise, print_accuracy, runs_frame, write_accuracy
    from workloads.errors import UserError
    from workloads.training.study import outcomes

    found = outcomes(out, todo)
    if not found:
        raise UserError(f"--out {out}: another process trains there, and no run has come to its end yet")
    if len(found) < len(todo):
        typer.echo(
            f"{len(todo) - len(found)} of {len(todo)} runs are still trained by another process; here is the rest"
        )
    runs = runs_frame(
        Run(cell.method, cell.pattern or DENSE, cell.seed, each["test_right"], each["test_examples"], each["steps"],
            each["seconds"])
        for cell, each in found
    )  # fmt: skip
    table, noise, title = accuracy_table(runs), beyond_noise(runs), _title(found[0][1])
    print_accuracy(table, noise, title)
    shown = shlex.join(["simulate", *sys.argv[1:]])
    write_accuracy(out, runs, table, noise, f"{title}. Made by `{shown}`, on {platform.machine()} with one thread.")
    try:
        from reports.figures.accuracy import accuracy_figure
        from reports.figures.style import save_figure
    except ModuleNotFoundError:
        typer.echo("no picture: it needs matplotlib: pip install 'sparsehil[report]'", err=True)
        return
    save_figure(accuracy_figure(table, title), out / "accuracy")
    typer.echo(f"the study is in {out}: accuracy.png, accuracy.csv, runs.csv")


def _title(result: "dict[str, Any]") -> str:
    settings = result["settings"]
    width = "" if settings["width"] == 1 else f" at width {settings['width']:g}"
    return f"{result['model']}{width} on {result['data']}, {result['steps']} steps of {settings['batch']}"
