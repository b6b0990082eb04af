"""`simulate validate`: everything published or measured elsewhere beside what our models say; or one machine alone."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli.options import JsonOption, SetOption

if TYPE_CHECKING:
    from reports.checks import Check


def validate(
    context: typer.Context,
    machine: Annotated[
        str | None, typer.Argument(help="One machine alone, with its sensitivity: sat. [default: one table of all]")
    ] = None,
    pattern: Annotated[str, typer.Option("--pattern", help="n:m everywhere but the layers kept dense.")] = "2:8",
    model: Annotated[str, typer.Option("--model", help="The model whose sensitivity is shown.")] = "resnet18",
    settings: SetOption = [],  # noqa: B006
    as_json: JsonOption = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Also write the tables there as CSV, and pictures of them.")
    ] = None,
) -> None:
    """Set what others published or measured beside what our models say, with what each row hangs on."""
    from simulator.cli.checks import Request, detail
    from workloads.errors import UserError

    if machine is not None:
        if as_json:
            raise UserError(f"--json: the report of {machine} alone has none; leave out the machine for one table")
        detail(machine, Request(pattern, model, tuple(settings), out))
        return
    for name in ("pattern", "model", "settings"):
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = "--set" if name == "settings" else f"--{name}"
            raise UserError(f"{option}: belongs to one machine: simulate validate sat {option} ...")
    _everything(out, as_json)


def _everything(out: Path | None, as_json: bool) -> None:
    from reports.checks import check_table, write_checks
    from reports.checks_terminal import print_checks

    table = check_table(_rows())
    if as_json:
        typer.echo(table.to_json(orient="records", indent=1))
    else:
        print_checks(table)
    if out is None:
        return
    write_checks(table, out)
    try:
        from reports.figures.checks import checks_figure
        from reports.figures.style import save_figure
    except ModuleNotFoundError:
        typer.echo("no picture: it needs matplotlib: pip install 'sparsehil[report]'", err=True)
        return
    save_figure(checks_figure(table), out / "checks")


def _rows() -> "list[Check]":
    from rich.console import Console
    from rich.progress import track

    from simulator.cli.checks import MODULES, rows

    steps = track(MODULES, description="models", transient=True, console=Console(stderr=True))
    return [row for name in steps for row in rows(name)]
