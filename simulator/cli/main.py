"""The entry point: builds the command, and turns a user's mistake into one sentence and exit code 2."""

import sys
from io import TextIOWrapper

import typer
from typer.exceptions import TyperException

from simulator.cli.area import area
from simulator.cli.bitstream import bitstream
from simulator.cli.board import board
from simulator.cli.listing import list_names
from simulator.cli.report import report
from simulator.cli.step import step
from simulator.cli.study_accuracy import study_accuracy
from simulator.cli.study_iso_area import study_iso_area
from simulator.cli.study_pareto import study_pareto
from simulator.cli.study_smash import study_smash
from simulator.cli.study_sparsity import study_sparsity
from simulator.cli.sweep import sweep
from simulator.cli.trace import trace
from simulator.cli.train import train
from simulator.cli.validate import validate
from simulator.cli.verilog import verilog
from workloads.errors import UserError


def build_app() -> typer.Typer:
    """The command with its sub-commands."""
    app = typer.Typer(
        name="simulate",
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(step)
    app.command("area")(area)
    app.command("bitstream")(bitstream)
    app.command("board")(board)
    app.command("list")(list_names)
    app.command("report")(report)
    app.command("sweep")(sweep)
    app.command("trace")(trace)
    app.command("train")(train)
    app.command("validate")(validate)
    app.command("verilog")(verilog)
    studies = typer.Typer(help="Many runs, a table and a plot.", no_args_is_help=True)
    studies.command("accuracy")(study_accuracy)
    studies.command("iso-area")(study_iso_area)
    studies.command("pareto")(study_pareto)
    studies.command("smash")(study_smash)
    studies.command("sparsity")(study_sparsity)
    app.add_typer(studies, name="study")
    return app


def main() -> None:
    """Run the command. Exit code 2 for a user's mistake, 1 for a fault of the program, 130 when interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = build_app()(standalone_mode=False)
    except UserError as error:
        code = _said(str(error))
    except TyperException as error:
        code = _said(error.format_message() if hasattr(error, "format_message") else str(error))
    except typer.Exit as stop:
        code = stop.exit_code
    except (typer.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        code = 130
    except BrokenPipeError:
        sys.stderr.close()
        code = 141
    except OSError as error:
        code = _said(f"cannot go on: {error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
    sys.exit(code if isinstance(code, int) else 0)


def _said(sentence: str) -> int:
    print(f"simulate: {' '.join(sentence.split())}", file=sys.stderr)
    return 2
