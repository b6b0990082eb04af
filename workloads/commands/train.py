"""Train a network with N:M sparsity and record steps of it as workloads."""

import os
from os.path import realpath
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import workloads
from workloads.errors import UserError
from workloads.options import FieldOption, ForceOption, PatternOption
from workloads.terminal import note, say
from workloads.work import dated_folder, safe_name

if TYPE_CHECKING:
    from workloads.training.run import Outcome
    from workloads.training.settings import Settings


def train(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", help="A registered model, such as resnet9, or a module of your own: PACKAGE.MODULE:NAME."
        ),
    ] = None,
    method: Annotated[str, typer.Option("--method", help="Training method (`simulate list methods`).")] = "bdwp",
    pattern: PatternOption = [],  # noqa: B006
    method_fields: FieldOption = [],  # noqa: B006
    data: Annotated[
        str | None,
        typer.Option(
            "--data", help="Examples for a module of your own: PACKAGE.MODULE:NAME of a data set or DataLoader."
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="digits, fashion-mnist, cifar10, imagenet or text. [default: digits or text]"),
    ] = None,
    data_folder: Annotated[Path | None, typer.Option("--data-folder", help="Where the data set's files are.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Train on so many images, test on no more.")] = None,
    image: Annotated[int | None, typer.Option("--image", help="Side of the images. [default: theirs, or 32]")] = None,
    sequence: Annotated[int | None, typer.Option("--sequence", help="Tokens a text.", show_default=False)] = None,
    width: Annotated[float, typer.Option("--width", help="Channels, as a share of the model's own.")] = 1.0,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Times over the data. [default: 1]")] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Steps, instead of epochs.", show_default=False)] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", help="Images or texts a step. [default: 128 images, 8 texts]")
    ] = None,
    accumulate: Annotated[
        int | None, typer.Option("--accumulate", help="Parts of a batch, forward and backward one by one. [default: 1]")
    ] = None,
    rate: Annotated[float | None, typer.Option("--lr", help="Learning rate. [default: the model's]")] = None,
    schedule: Annotated[
        str, typer.Option("--schedule", help="The rate's course: cosine (to 0) or constant.")
    ] = "cosine",
    optimizer: Annotated[
        str | None, typer.Option("--optimizer", help="momentum or adamw. [default: the model's]")
    ] = None,
    weight_decay: Annotated[float, typer.Option("--weight-decay", help="Of every parameter.")] = 1e-4,
    decay: Annotated[
        float | None, typer.Option("--decay", help="Of the weights that the mask drops. [default: the method's]")
    ] = None,
    mixed: Annotated[
        bool, typer.Option("--mixed-precision", help="Products of FP16 operands, with a loss scale.")
    ] = False,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Start from this file: weights.safetensors of a run, or any such.")
    ] = None,
    on: Annotated[
        str,
        typer.Option(
            "--on",
            help="Multiply and update on a backend (`simulate list backends`): NAME or NAME:MACHINE. [default: torch]",
        ),
    ] = "",
    alone: Annotated[
        bool, typer.Option("--alone", help="On a backend, without the same run in torch beside it.")
    ] = False,
    loss_scale: Annotated[
        float | None, typer.Option("--loss-scale", help="On a backend, a power of two. [default: 1024]")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="Where to compute: cpu or cuda.")] = "cpu",
    seed: Annotated[int, typer.Option("--seed", help="Of the weights and of the order of the data.")] = 0,
    threads: Annotated[int, typer.Option("--threads", help="Of torch; with one, a run gives the same bits again.")] = 1,
    checkpoint_every: Annotated[int, typer.Option("--checkpoint-every", help="Steps between checkpoints.")] = 100,
    capture_at: Annotated[
        list[int], typer.Option("--capture-at", help="Record this step, from 1, as a workload file. Repeatable.")
    ] = [],  # noqa: B006
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the run. [default: a dated one in results/]")
    ] = None,
    force: ForceOption = False,
    resume: Annotated[
        Path | None, typer.Option("--resume", help="Go on with the run in this folder, as it was asked for.")
    ] = None,
) -> None:
    """Train a network with N:M sparsity and record steps of it as workloads."""
    if resume is not None:
        _only_resume(context, resume)
        workloads.check_resumable(resume)
        _run(None, resume, force)
        return
    if model is None:
        raise UserError("--model: say which, for example --model resnet9; or give --resume FOLDER")
    settings = workloads.Settings(
        model=model,
        method=method,
        patterns=tuple(pattern),
        method_fields=tuple(method_fields) or None,
        dataset=dataset,
        data_folder=None if data_folder is None else realpath(data_folder),
        limit=limit,
        image=image,
        sequence=sequence,
        width=width,
        epochs=epochs,
        steps=steps,
        batch=batch,
        accumulate=accumulate,
        learning_rate=rate,
        schedule=schedule,
        optimizer=optimizer,
        weight_decay=weight_decay,
        decay=decay,
        mixed_precision=mixed,
        seed=seed,
        threads=threads,
        checkpoint_every=checkpoint_every,
        capture_at=tuple(sorted(set(capture_at))),
        data=data,
        weights=None if weights is None else realpath(weights),
        device=device,
        on=on,
        alone=alone,
        loss_scale=loss_scale,
    )
    workloads.checked_settings(settings)
    folder = out or dated_folder(safe_name("train", model.replace(":", "-"), method, *pattern))
    workloads.check_run_folder(folder, force)
    _run(settings, folder, force)


def _only_resume(context: typer.Context, folder: Path) -> None:
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name != "resume" and source is not None and source.name == "COMMANDLINE":
            raise UserError(f"{parameter.opts[0]}: --resume takes every setting from {folder}; leave it out")


def _run(settings: "Settings | None", folder: Path, force: bool) -> None:
    """Train with these settings, or, without any, go on with the run in the folder."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # torch's threads would spin, and starve whatever else runs
    before = _identity(folder) if settings else None
    try:
        with workloads.training_shown() as show:
            start, resume = workloads.start_run, workloads.resume_run
            outcome = start(settings, folder, show, force) if settings else resume(folder, show)
    except KeyboardInterrupt:
        if _identity(folder) not in (None, before):  # an older run, which was to be replaced, is no run to go on with
            note(f"to go on: simulate train --resume {folder}")
        raise
    _say(outcome)


def _identity(folder: Path) -> tuple[int, int] | None:
    """Which folder has the name; None where none has."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _say(outcome: "Outcome") -> None:
    share = f"{100 * outcome.accuracy:.2f} % ({outcome.right:,} of {outcome.tested:,})"
    found = (
        f"test accuracy {share}" if outcome.tested else "no accuracy, since there was nothing with classes to test on,"
    )
    say(f"{found} after {outcome.steps} steps; the run is in {outcome.folder}")
    for sentence in outcome.beside:
        say(sentence)
    for path in sorted(outcome.folder.glob("step-*.json")):
        say(f"recorded: simulate --workload {path}")
