"""Many runs, a table and a plot."""

import typer

from simulator.lazy_commands import group_of
from workloads.registry import STUDIES

study = typer.Typer(
    cls=group_of(STUDIES, "study"), help="Many runs, a table and a plot.", no_args_is_help=True, add_completion=False
)
