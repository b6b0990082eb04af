"""The figures and tables of a page as files."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from reports.energy import energy_by, entry_table, has_energy
from reports.figures.style import save_figure
from reports.layers import layer_table
from reports.page.gallery import comparison_pictures, step_pictures
from simulator.frames import phase_table
from simulator.result import Result
from workloads.errors import UserError


def write_figures(
    result: Result, folder: Path, sensitivity: pd.DataFrame | None = None, ladder: pd.DataFrame | None = None
) -> None:
    """SVG and PNG of every figure, the same bytes for the same result, and its tables as CSV.

    Those are phases.csv, layers.csv and the splits of energy. Raises UserError where they cannot be written.
    """
    for each in step_pictures(result, sensitivity, ladder):
        save_figure(each.figure, folder / each.name)
    tables = {"phases": phase_table(result), "layers": layer_table(result)}
    if has_energy(result):
        tables |= {f"energy-{by}": energy_by(result, [by]) for by in ("component", "phase", "tensor")}
        tables["energy-entries"] = entry_table(result)
    try:
        for name, table in tables.items():
            table.to_csv(folder / f"{name}.csv")
    except OSError as error:
        raise UserError(f"--figures {folder}: cannot be written: {error.strerror or error}") from None


def write_comparison(results: Sequence[Result], labels: Sequence[str], folder: Path) -> None:
    """SVG and PNG of the figures of several results. Raises UserError where they cannot be written."""
    for each in comparison_pictures(results, labels):
        save_figure(each.figure, folder / each.name)
