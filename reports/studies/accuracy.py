"""How well each method trains at each pattern, over several seeds."""

import os
import shlex
import sys
from os.path import realpath
from pathlib import Path
from typing import Annotated

import typer

import reports
import workloads
from workloads.errors import UserError

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
    if not 2 <= seeds <= LARGEST:
        raise UserError(f"--seeds {seeds}: a spread needs at least 2, and {LARGEST} are enough")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # torch's threads would spin, and starve whatever else runs
    common = workloads.Settings(
        model=model,
        method="dense",
        dataset=dataset,
        data_folder=None if data_folder is None else realpath(data_folder),
        limit=limit,
        image=image,
        width=width,
        epochs=epochs,
        steps=steps,
        batch=batch,
        learning_rate=rate,
        weight_decay=weight_decay,
    )
    workloads.checked_settings(common)
    reports.run_accuracy(out, common, (methods, patterns, seeds), shlex.join(["simulate", *sys.argv[1:]]))
