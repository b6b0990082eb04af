"""Results as one self-contained HTML page."""

from pathlib import Path
from typing import Annotated

import typer

import reports
from workloads.files.limits import parse_limits
from workloads.options import LimitOption
from workloads.terminal import say


def report(
    results: Annotated[
        list[Path], typer.Argument(help="Result folders; several give a comparison. Or one of a training.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The page. [default: RESULT.html beside the folder, or comparison.html]"),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(
            "--figures",
            help="Also write the figures there as SVG and PNG, tables as CSV, in place of files of these names.",
        ),
    ] = None,
    sensitivity: Annotated[
        bool, typer.Option(help="Run the step again at both ends of every assumption's range.")
    ] = True,
    band: Annotated[
        bool, typer.Option("--band", help="Also find how far everything assumed, all at once, moves it (minutes).")
    ] = False,
    limit: LimitOption = [],  # noqa: B006
    force: Annotated[bool, typer.Option("--force", help="Overwrite the page.")] = False,
) -> None:
    """Write one self-contained HTML page: of one result, of several side by side, or of a training on a backend."""
    say(reports.write_report(results, out, figures, sensitivity, band, force, parse_limits(limit)))
