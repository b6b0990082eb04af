"""The entry point: builds the command, and turns a user's mistake into one sentence and exit code 2."""

import sys
import warnings
from io import TextIOWrapper
from typing import TextIO

import typer
from typer.exceptions import TyperException

from simulator.command.step import step
from simulator.lazy_commands import HELP_NAMES, group_of
from workloads.errors import UserError
from workloads.registry import COMMANDS, MACHINES, METHODS, MODELS, LeftOut, names, needs

ROOMS = ("simulator", "workloads", "dataflows", "rtl", "reports")
OPTIONS = {MODELS: "--model", MACHINES: "--arch", METHODS: "--method"}


def build_app() -> typer.Typer:
    """The command; its sub-commands are loaded when they are named."""
    app = typer.Typer(
        name="simulate",
        cls=group_of(COMMANDS, "command", _option_for),
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings=HELP_NAMES,
    )
    app.callback(invoke_without_command=True)(step)
    return app


def main() -> None:
    """Run the command. Exit code 2 for a user's mistake, 1 for a fault of the program, 130 when interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings():
        warnings.showwarning = _noted
        code = _code()
    sys.exit(code)


def _code() -> int:  # noqa: PLR0911 - each kind of ending has its own exit code
    try:
        code = typer.main.get_command(build_app())(prog_name="simulate", standalone_mode=False)
    except UserError as error:
        return _said(str(error))
    except TyperException as error:
        said = error.format_message() if hasattr(error, "format_message") else str(error)
        return _said(said) if said else 2  # its help has been printed
    except typer.Exit as stop:
        return stop.exit_code
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ROOMS:
            raise
        return _said(f"this {needs(error)}")
    except (typer.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 141
    except OSError as error:
        return _said(f"cannot go on: {error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
    return code if isinstance(code, int) else 0


def _option_for(name: str) -> str:
    """A hint for a word that is no command: a model or a machine is named by an option."""
    found = [option for group, option in OPTIONS.items() if name in names(group)]
    return f"'{name}' is given as {found[0]} {name}." if found else ""


def _said(sentence: str) -> int:
    print(f"simulate: {' '.join(sentence.split())}", file=sys.stderr)
    return 2


def _noted(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None,
    line: str | None = None,
) -> None:  # fmt: skip
    """A warning as a line on standard error; those of other libraries as they are."""
    plain = f"simulate: note: {message}" if issubclass(category, LeftOut) else None
    print(plain or warnings.formatwarning(message, category, filename, lineno, line), file=file or sys.stderr)
