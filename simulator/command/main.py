"""The entry point: builds the command, and turns a user's mistake into one sentence and exit code 2."""

import os
import resource
import signal
import sys
import warnings
from typing import Any, TextIO

import typer
from typer.exceptions import TyperException

from simulator.command.step import step
from simulator.lazy_commands import HELP_NAMES, group_of
from workloads.errors import UserError, plain
from workloads.registry import COMMANDS, MACHINES, METHODS, MODELS, LeftOut, names, needs
from workloads.terminal import cut, nobody_reads, note, open_streams

NAME, COMPLETION = "simulate", "_SIMULATE_COMPLETE"  # the variable is there when a shell asks for completions
LEAST_MEMORY = 1000 << 20  # bytes of addresses: at 700 MB the main job ends for want of memory, at 977 it runs
INTERRUPTED, NOBODY_READS = 130, 141  # 128 and the number of the signal, SIGINT and SIGPIPE, as shells have it
ROOMS = ("simulator", "workloads", "dataflows", "rtl", "reports")
OPTIONS = {MODELS: "--model", MACHINES: "--arch", METHODS: "--method"}


def build_app() -> typer.Typer:
    """The command; its sub-commands are loaded when they are named."""
    app = typer.Typer(
        name=NAME,
        cls=group_of(COMMANDS, "command", _option_for),
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings=HELP_NAMES,
    )
    app.callback(invoke_without_command=True)(step)
    return app


def main() -> None:
    """Run the command.

    Exit code 2 for a user's mistake, 1 for a check that failed and for a fault of the program, 130 when interrupted,
    141 when nobody reads standard output any more.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # as `start` has left it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    open_streams()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's threads are not used, and each takes 40 MB
    with warnings.catch_warnings():
        warnings.showwarning = _noted
        code = _code()
    sys.exit(_flushed(code))


def _code() -> int:  # noqa: PLR0911 - each kind of ending has its own exit code
    try:
        _check_memory()
        code = _called(typer.main.get_command(build_app()))
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
        note("interrupted")
        return INTERRUPTED
    except MemoryError:
        return _said("there is not enough memory for this; take smaller work, or let the program have more")
    except RecursionError:
        return _said("something that was given is nested too deeply to be worked on")
    except OverflowError as error:
        return _said(f"a number that was given is too large: {error}")
    except OSError as error:
        if isinstance(error, BrokenPipeError) and nobody_reads():
            return NOBODY_READS
        return _said(f"cannot go on: {error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
    return code if isinstance(code, int) else 0


def _called(command: Any) -> object:
    """What a command returns. Typer's own way of calling it ends the process for Ctrl-C and for a closed pipe."""
    if COMPLETION in os.environ:
        return command(prog_name=NAME, standalone_mode=False)
    with command.make_context(NAME, sys.argv[1:]) as context:
        return command.invoke(context)


def _check_memory() -> None:
    """Raises UserError where less memory is allowed than the compiler of kernels needs: it ends the process itself."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if 0 <= allowed < LEAST_MEMORY:
        raise UserError(
            f"{allowed >> 20:,} MiB of memory are allowed here, and the program needs {LEAST_MEMORY >> 20:,} MiB of "
            f"addresses; raise the limit (ulimit -v)"
        )


def _flushed(code: int) -> int:
    """The exit code, once standard output has taken everything: Python would say in its own way that it has not."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = NOBODY_READS
    except OSError as error:
        code = _said(f"standard output cannot be written: {error.strerror or error}")
    except ValueError:  # closed by whoever called
        return code
    else:
        return code
    nowhere = os.open(os.devnull, os.O_WRONLY)  # takes what is left in the stream's buffer when the process ends
    os.dup2(nowhere, 1)
    return code


def _option_for(name: str) -> str:
    """A hint for a word that is no command: a model or a machine is named by an option."""
    found = [option for group, option in OPTIONS.items() if name in names(group)]
    return f"'{name}' is given as {found[0]} {name}." if found else ""


def _said(sentence: str) -> int:
    note(f"simulate: {cut(' '.join(sentence.split()))}")
    return 2


def _noted(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None,
    line: str | None = None,
) -> None:  # fmt: skip
    """A warning as a line on standard error; those of other libraries as they are."""
    said = f"simulate: note: {plain(str(message))}" if issubclass(category, LeftOut) else None
    print(said or warnings.formatwarning(message, category, filename, lineno, line), file=file or sys.stderr)
