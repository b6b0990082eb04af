"""`simulate list`: what can be named on the command line."""

from typing import Annotated

import typer

GROUPS = {
    "machines": "sparsehil.machines",
    "dataflows": "sparsehil.dataflows",
    "kernels": "sparsehil.kernels",
    "methods": "sparsehil.methods",
    "models": "",
}


def list_names(
    what: Annotated[
        str | None, typer.Argument(help="machines, dataflows, kernels, methods or models; all by default")
    ] = None,
) -> None:
    """List machines, dataflows, kernels, methods and captured models."""
    from workloads.errors import unknown_name
    from workloads.registry import names
    from workloads.shipped import shipped_models

    if what is not None and what not in GROUPS:
        raise unknown_name("list", what, GROUPS)
    for title, group in GROUPS.items():
        if what in (None, title):
            found = names(group) if group else shipped_models()
            lines = [_with_fields(name) for name in found] if title == "methods" else found
            typer.echo(f"{title}: {', '.join(found)}" if what is None else "\n".join(lines))


def _with_fields(name: str) -> str:
    """A method with the fields that --set changes, at their defaults."""
    from workloads.methods.families import settable
    from workloads.registry import METHODS, load_entry

    values = settable(load_entry(METHODS, "method", name)()).items()
    return " ".join([name, *(f"{field}={getattr(value, 'rate', value)}" for field, value in values)])
