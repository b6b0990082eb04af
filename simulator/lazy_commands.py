"""Groups of sub-commands found by entry point: listed without being imported, loaded when one is named."""

import difflib
import re
from collections.abc import Callable
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path

import typer
from typer.core import TyperGroup

from workloads.registry import entry_of, load_entry, names

HELP_NAMES = {"help_option_names": ["-h", "--help"]}
FIRST_LINE = re.compile(r'\s*(?:#[^\n]*\n)*"""(.+?)(?:"""|\n)')
LONGEST = 500  # letters of a module that are read for its first line


def group_of(group: str, what: str, hint: Callable[[str], str] = lambda _: "") -> type[TyperGroup]:
    """The class of a command whose sub-commands are registered in a group of entry points.

    `what` is what they are called in messages, `hint` what to say of a name that is none of them.
    """

    class Found(TyperGroup):
        def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
            return names(group)

        def get_command(self, ctx: typer.Context, cmd_name: str) -> typer.core.TyperCommand | None:  # type: ignore[override]
            """What a listing shows of a command: its module's first line, not the command itself."""
            if cmd_name not in names(group):
                return None
            return typer.core.TyperCommand(cmd_name, help=first_line(entry_of(group, what, cmd_name)))

        def resolve_command(  # type: ignore[override]
            self, ctx: typer.Context, args: list[str]
        ) -> tuple[str, typer.core.TyperCommand | TyperGroup, list[str]]:
            """The command that is named. Raises a usage error for an unknown name, with the nearest match."""
            name = args[0]
            if name not in names(group) and not name.startswith("-"):
                near = difflib.get_close_matches(name, names(group), n=1)
                said = f"Did you mean '{near[0]}'?" if near else hint(name) or f"There are {', '.join(names(group))}."
                ctx.fail(f"No such {what} '{name}'. {said}")
            return name, command_of(load_entry(group, what, name), name), args[1:]

    return Found


def command_of(found: object, name: str) -> typer.core.TyperCommand | TyperGroup:
    """A function, or a group of functions, as a command."""
    if isinstance(found, typer.Typer):
        return typer.main.get_group(found)
    app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=HELP_NAMES)
    app.command(name)(found)  # type: ignore[type-var]
    made = typer.main.get_command(app)
    assert isinstance(made, typer.core.TyperCommand | TyperGroup)
    return made


def first_line(entry: EntryPoint) -> str:
    """The first line of the docstring of the module a part lies in, read without importing it."""
    try:
        spec = find_spec(entry.module)
    except ImportError:
        return ""
    if spec is None or spec.origin is None:
        return ""
    with Path(spec.origin).open(encoding="utf-8") as file:
        found = FIRST_LINE.match(file.read(LONGEST))
    return found[1].strip() if found else ""
