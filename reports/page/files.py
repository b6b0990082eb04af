"""The figures and tables of a page as files."""

from collections.abc import Sequence
from pathlib import Path

from reports.energy import energy_by, entry_table, has_energy
from reports.figures.style import save_figure
from reports.layers import layer_table
from reports.page.gallery import Picture
from reports.phases import phase_table
from simulator.result import Result
from workloads.errors import UserError


def write_pictures(pictures: Sequence[Picture], folder: Path) -> None:
    """SVG and PNG of every figure, the same bytes for the same result."""
    for each in pictures:
        save_figure(each.figure, folder / each.name)


def write_tables(result: Result, dense: Result, folder: Path) -> None:
    """phases.csv, layers.csv and the splits of energy. Raises UserError where they cannot be written."""
    tables = {"phases": phase_table(result, dense), "layers": layer_table(result, dense)}
    if has_energy(result):
        tables |= {f"energy-{by}": energy_by(result, [by]) for by in ("component", "phase", "tensor")}
        tables["energy-entries"] = entry_table(result)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            table.to_csv(folder / f"{name}.csv")
    except OSError as error:
        raise UserError(f"--figures {folder}: cannot be written: {error.strerror or error}") from None
