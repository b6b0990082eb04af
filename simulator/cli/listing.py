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
            typer.echo(f"{title}: {', '.join(found)}" if what is None else "\n".join(found))
