"""List machines, dataflows, kernels, methods, models and every other part that can be named."""

import warnings
from typing import Annotated

import typer

from workloads import named
from workloads.errors import unknown_name
from workloads.registry import (
    BACKENDS,
    CHECKS,
    DATAFLOWS,
    KERNELS,
    MACHINES,
    METHODS,
    MODELS,
    STUDIES,
    LeftOut,
    PartError,
    names,
)
from workloads.terminal import say

GROUPS = {
    "machines": MACHINES,
    "dataflows": DATAFLOWS,
    "kernels": KERNELS,
    "methods": METHODS,
    "backends": BACKENDS,
    "models": MODELS,
    "studies": STUDIES,
    "checks": CHECKS,
}
SHOWN = ("machines", "dataflows", "kernels", "methods", "models")  # of all that is listed without an argument


def list_names(
    what: Annotated[
        str | None, typer.Argument(help="machines, dataflows, kernels, methods, backends, models, studies or checks")
    ] = None,
) -> None:
    """List machines, dataflows, kernels, methods and captured models."""
    if what is not None and what not in GROUPS:
        raise unknown_name("list", what, GROUPS)
    for title in SHOWN if what is None else (what,):
        found = names(GROUPS[title])
        lines = [_with_fields(name) for name in found] if title == "methods" else found
        say(f"{title}: {', '.join(found)}" if what is None else "\n".join(lines))


def _with_fields(name: str) -> str:
    """A method with the fields that --set changes, at their defaults; one that cannot be loaded is named."""
    try:
        return " ".join([name, *named.method_fields(name)])
    except PartError as error:
        warnings.warn(str(error), LeftOut, stacklevel=2)
        return name
