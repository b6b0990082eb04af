"""Set what others published or measured beside what our models say, with what each row hangs on."""

from pathlib import Path
from typing import Annotated

import typer

import reports
from reports import checks, figures
from workloads.errors import UserError
from workloads.options import JsonOption, SetOption, completed
from workloads.registry import CHECKS
from workloads.terminal import say


def validate(
    context: typer.Context,
    machine: Annotated[
        str | None,
        typer.Argument(
            help="One machine alone, with its sensitivity: sat. [default: one table of all]",
            autocompletion=completed(CHECKS),
        ),
    ] = None,
    pattern: Annotated[str, typer.Option("--pattern", help="n:m everywhere but the layers kept dense.")] = "2:8",
    model: Annotated[str, typer.Option("--model", help="The model whose sensitivity is shown.")] = "resnet18",
    settings: SetOption = [],  # noqa: B006
    as_json: JsonOption = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Also write tables (CSV) and pictures there; files of their names are replaced."),
    ] = None,
) -> None:
    """Set what others published or measured beside what our models say, with what each row hangs on."""
    if machine is not None:
        if as_json:
            raise UserError(f"--json: the report of {machine} alone has none; leave out the machine for one table")
        checks.check_report(machine, checks.Request(pattern, model, tuple(settings), out))
        return
    for name in ("pattern", "model", "settings"):
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = "--set" if name == "settings" else f"--{name}"
            raise UserError(f"{option}: belongs to one machine: simulate validate sat {option} ...")
    table = reports.check_table(reports.every_check())
    if as_json:
        say(table.to_json(orient="records", indent=1))
    else:
        reports.print_checks(table)
    if out is not None:
        texts = reports.csv_texts({"checks": table}, 6)
        reports.write_folder(out, texts, lambda: {"checks": figures.checks_figure(table)})
