"""Many runs, a table and a plot."""

import typer

from simulator.lazy_commands import group_of
from workloads.errors import UserError
from workloads.registry import STUDIES, names

study = typer.Typer(cls=group_of(STUDIES, "study"), add_completion=False, rich_markup_mode=None)


@study.callback(invoke_without_command=True)
def chosen(context: typer.Context) -> None:
    """Many runs, a table and a plot."""
    if context.invoked_subcommand is None:
        raise UserError(f"study: name one of {', '.join(names(STUDIES))}")
