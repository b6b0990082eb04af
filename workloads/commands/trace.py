"""Record one training step of your own torch module, for `simulate --workload`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import workloads
from workloads.files.writing import check_new
from workloads.options import FieldOption, PatternOption
from workloads.pattern import parse_patterns
from workloads.terminal import say

if TYPE_CHECKING:
    from workloads.training.trace_module import Traced


def trace(
    target: Annotated[str, typer.Argument(help="MODULE:NAME of a torch module or of a function that builds one.")],
    inputs: Annotated[
        list[str],
        typer.Option(
            "--input", help="Sizes, batch first: 1x3x224x224; 8x128:30522 for integers below 30522. Repeatable."
        ),
    ] = [],  # noqa: B006
    method: Annotated[
        str | None, typer.Option("--method", help="Training method put on the module. [default: bdwp with --pattern]")
    ] = None,
    pattern: PatternOption = [],  # noqa: B006
    method_fields: FieldOption = [],  # noqa: B006
    optimizer: Annotated[str, typer.Option("--optimizer", help="sgd, momentum, adam or adamw.")] = "momentum",
    loss: Annotated[
        str, typer.Option("--loss", help="cross-entropy, squares, or auto: by what the output looks like.")
    ] = "auto",
    shapes_only: Annotated[
        bool, typer.Option("--shapes-only", help="Nothing is computed: any size in seconds, but no zeros are measured.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of weights, inputs and targets.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", help="The workload file. [default: NAME.json]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the workload file.")] = False,
) -> None:
    """Record one training step of your own torch module, for `simulate --workload`."""
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
    )
    traced = workloads.trace_module(request)
    workloads.write_template(workloads.template_of(traced.workload), path, replace=force)
    _say(traced, path)


def _say(traced: "Traced", path: Path) -> None:
    workload, zeros = traced.workload, traced.weight_zeros
    say(f"{workload.model}: {traced.products} products, {workload.macs:,} MACs, {workload.parameters:,} parameters")
    say(f"loss: {traced.loss}")
    if zeros is not None:
        say(f"zeros in the weights of the forward pass: {100 * zeros:.1f} %")
    if workload.kept_dense:
        say(f"dense unless --pattern LAYER=n:m names them: {', '.join(workload.kept_dense)}")
    say(f"recorded: simulate --workload {path}")
