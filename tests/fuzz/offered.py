"""What `simulate --help` offers: every command by its words, the main one by none."""

import typer
from typer.core import TyperCommand, TyperGroup

from simulator.command.main import build_app
from simulator.lazy_commands import command_of
from workloads.registry import COMMANDS, STUDIES, load_entry, names


def offered() -> dict[str, TyperCommand | TyperGroup]:
    """The commands, with those of `study` as "study pareto"."""
    found: dict[str, TyperCommand | TyperGroup] = {"": typer.main.get_command(build_app())}  # type: ignore[dict-item]
    for name in names(COMMANDS):
        made = command_of(load_entry(COMMANDS, "command", name), name)
        if isinstance(made, TyperGroup):
            for inner in names(STUDIES):
                found[f"{name} {inner}"] = command_of(load_entry(STUDIES, "study", inner), inner)
        else:
            found[name] = made
    return found
