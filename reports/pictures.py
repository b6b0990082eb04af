"""Pictures beside tables: drawn where matplotlib is installed, and otherwise left out with a note."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from reports import figures
from workloads.registry import needs

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_pictures(out: Path, drawn: "Callable[[], Mapping[str, Figure]]") -> bool:
    """Draw, and save each picture as NAME.png and NAME.svg; whether that could be done.

    Without matplotlib a note on standard error says why there are none. Raises UserError where they cannot be written.
    """
    try:
        for name, figure in drawn().items():
            figures.save_figure(figure, out / name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        typer.echo(f"no picture: it {needs(error)}", err=True)
        return False
    return True
