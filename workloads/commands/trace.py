"""Record one step of your own torch module, for `simulate --workload`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import workloads
from workloads.files.writing import check_new
from workloads.options import FieldOption, PatternOption
from workloads.pattern import parse_patterns
from workloads.terminal import say

if TYPE_CHECKING:
    from workloads.recording.trace_module import Traced


def trace(
    target: Annotated[str, typer.Argument(help="MODULE:NAME of a torch module, or of what builds one.")],
    inputs: Annotated[
        list[str],
        typer.Option(
            "--input",
            help="Sizes, batch first: 1x3x224x224; 8x128:30522 for integers below 30522; by name and with a number "
            "format, mask=8x128:ones, x=4x16:bf16. Repeatable.",
        ),
    ] = [],  # noqa: B006
    config: Annotated[
        list[str],
        typer.Option("--config", help="Arguments of what builds the module: hidden_size=512,num_hidden_layers=4."),
    ] = [],  # noqa: B006
    method: Annotated[
        str | None, typer.Option("--method", help="Training method put on the module. [default: bdwp with --pattern]")
    ] = None,
    pattern: PatternOption = [],  # noqa: B006
    method_fields: FieldOption = [],  # noqa: B006
    optimizer: Annotated[str, typer.Option("--optimizer", help="sgd, momentum, adam or adamw.")] = "momentum",
    loss: Annotated[
        str, typer.Option("--loss", help="cross-entropy, squares, or auto: the module's own, else by its output.")
    ] = "auto",
    output: Annotated[
        str, typer.Option("--output", help="The part of the output that the loss is of, such as logits or 0.")
    ] = "",
    mode: Annotated[str, typer.Option("--mode", help="training, or inference: the forward pass alone.")] = "training",
    scale: Annotated[str, typer.Option("--scale", help="Leave sizes open in the file: batch, or batch,sequence.")] = "",
    shapes_only: Annotated[
        bool, typer.Option("--shapes-only", help="Nothing is computed: any size in seconds, but no zeros are measured.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of weights, inputs and targets.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", help="The workload file. [default: NAME.json]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the workload file.")] = False,
) -> None:
    """Record one step of your own torch module, for `simulate --workload`."""
    path = out or Path(f"{target.rpartition(':')[2] or 'module'}.json")
    check_new(path, force, f"--out {path}")
    workloads.split_target(target)
    request = workloads.trace_request(
        target,
        workloads.parse_inputs(inputs),
        method,
        parse_patterns(pattern) if pattern else None,
        method_fields,
        optimizer,
        loss,
        shapes_only,
        seed,
        output=output,
        config=config,
        mode=mode,
    )
    open_sizes = workloads.parse_scale(scale, request)
    traced = workloads.trace_module(request)
    template = workloads.template_of(traced.workload)
    if open_sizes:
        template = workloads.scaled_template(request, open_sizes, template)
    workloads.write_template(template, path, replace=force)
    _say(traced, path, scale)


def _say(traced: "Traced", path: Path, scale: str) -> None:
    workload, zeros = traced.workload, traced.weight_zeros
    say(f"{workload.model}: {traced.products} products, {workload.macs:,} MACs, {workload.parameters:,} parameters")
    say(f"loss: {traced.loss}")
    if zeros is not None:
        say(f"zeros in the weights of the forward pass: {100 * zeros:.1f} %")
    if workload.kept_dense:
        say(f"dense unless --pattern LAYER=n:m names them: {', '.join(workload.kept_dense)}")
    for assumption in workload.capture.assumed:
        say(f"Assumed: {assumption}.")
    for note in workload.capture.notes:
        say(f"Note: {note}.")
    say(f"recorded: simulate --workload {path}{_sizes(scale)}")


def _sizes(scale: str) -> str:
    """The options that a file with open sizes can be simulated with."""
    return "".join(f" --{name} N" for name in ("batch", "sequence") if name in scale)
