"""`simulate trace`: one step of the user's own torch module as a workload file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli.options import FieldOption, PatternOption

if TYPE_CHECKING:
    from workloads.methods.base import Method
    from workloads.training.trace_module import Request, Traced


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
    from workloads.errors import UserError
    from workloads.workload import template_of, write_template

    path = out or Path(f"{target.rpartition(':')[2] or 'module'}.json")
    _check_free(path, force)
    try:
        from workloads.training.trace_module import trace_module

        traced = trace_module(
            _request(
                target, inputs, _method(method, pattern, method_fields), pattern, optimizer, loss, shapes_only, seed
            )
        )
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise UserError("tracing needs the package 'torch', which is missing: pip install 'sparsehil[train]'") from None
    write_template(template_of(traced.workload), path)
    _say(traced, path)


def _request(
    target: str,
    inputs: list[str],
    method: "Method | None",
    pattern: list[str],
    optimizer: str,
    loss: str,
    shapes_only: bool,
    seed: int,
) -> "Request":
    from workloads.errors import UserError, unknown_name
    from workloads.op import Optimizer
    from workloads.pattern import parse_patterns
    from workloads.training.settings import LARGEST_SEED
    from workloads.training.trace_module import Loss, Request
    from workloads.training.user_module import parse_input

    if not inputs:
        raise UserError("--input: say what the module takes, for example --input 1x3x224x224")
    for option, given, known in (("optimizer", optimizer, Optimizer), ("loss", loss, Loss)):
        if given not in [each.value for each in known]:
            raise unknown_name(option, given, [each.value for each in known], f"--{option}")
    if not 0 <= seed <= LARGEST_SEED:
        raise UserError(f"--seed {seed}: must lie between 0 and {LARGEST_SEED}")
    return Request(
        target=target,
        inputs=tuple(parse_input(text) for text in inputs),
        method=method,
        patterns=parse_patterns(pattern),
        optimizer=Optimizer(optimizer),
        loss=Loss(loss),
        shapes_only=shapes_only,
        seed=seed,
    )


def _method(method: str | None, pattern: list[str], method_fields: list[str]) -> "Method | None":
    """The method to put on the module; None for none."""
    from workloads.errors import UserError
    from workloads.methods.base import Method
    from workloads.methods.families import with_fields
    from workloads.registry import METHODS, load_entry

    name = method or ("bdwp" if pattern else "dense")
    chosen: Method = load_entry(METHODS, "method", name)()
    if pattern and name == "dense":
        raise UserError("--pattern: method 'dense' keeps every weight; leave one of the two out")
    if not pattern and name != "dense":
        raise UserError(f"--pattern: method '{name}' needs one, for example --pattern 2:8")
    return with_fields(chosen, method_fields) if pattern or method_fields else None


def _check_free(path: Path, force: bool) -> None:
    from workloads.errors import UserError

    if path.is_dir():
        raise UserError(f"--out {path}: is a folder; a workload is a file")
    if not path.parent.is_dir():
        raise UserError(f"--out {path}: there is no folder '{path.parent}'")
    if path.exists() and not force:
        raise UserError(f"--out {path}: is there already; choose another file or add --force")


def _say(traced: "Traced", path: Path) -> None:
    from workloads.op import MatrixOp
    from workloads.training.trace_module import weight_zeros

    workload = traced.workload
    products = sum(isinstance(op, MatrixOp) for op in workload.ops)
    typer.echo(f"{workload.model}: {products} products, {workload.macs:,} MACs, {workload.parameters:,} parameters")
    typer.echo(f"loss: {traced.loss}")
    zeros = weight_zeros(workload)
    if zeros is not None:
        typer.echo(f"zeros in the weights of the forward pass: {100 * zeros:.1f} %")
    if workload.kept_dense:
        typer.echo(f"dense unless --pattern LAYER=n:m names them: {', '.join(workload.kept_dense)}")
    typer.echo(f"recorded: simulate --workload {path}")
