"""The validation of SAT as tables: on a terminal and as CSV."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from rich.table import Table

from reports.published import PUBLISHED
from reports.terminal import wide_console
from workloads.errors import UserError

SAT = PUBLISHED / "sat.csv"
Tables = tuple[pd.DataFrame, pd.DataFrame, Mapping[str, tuple[int, int]]]


def published_average() -> tuple[float, str]:
    """The published average speed-up at 2:8, and its source."""
    with SAT.open(encoding="utf-8", newline="") as lines:
        first = next(csv.DictReader(lines))
    return float(first["value"]), f"{first['provenance']}, {first['source']}"


def print_validation(pattern: str, model: str, paper_models: Sequence[str], speedup: float, tables: Tables) -> None:
    """Speed-ups beside ceilings and the published average; then sensitivity and switches of one model."""
    ceilings, moved, switched = tables
    console = wide_console()
    console.print(f"[bold]Speed-up over the best dense schedule, BDWP {pattern}[/], as each kind of cost is added")
    console.print(frame_table(ceilings))
    ours = ceilings.loc[list(paper_models), "speed-up"].mean()
    value, source = published_average()
    console.print(f"average of {', '.join(paper_models)}: {ours:.2f}x (derived, this model)")
    if pattern == "2:8":
        console.print(
            f"published average at 2:8: {value}x ({source}); its models are ResNet9, VGG19, ViT, ResNet18 and "
            f"ResNet50, partly on other data (secondary), and its machine's numbers are unknown: nearness proves "
            f"little, and nothing here is tuned to it"
        )
    console.print(f"\n[bold]{model} at {speedup:.2f}x:[/] how far each assumption moves it, alone, through its range")
    console.print(frame_table(moved))
    console.print(f"\n[bold]{model}:[/] what each optimisation is worth (cycles of the step)")
    console.print(frame_table(_switch_table(switched)))


def write_validation(folder: Path, tables: Tables) -> None:
    """Write ceilings.csv, sensitivity.csv and optimisations.csv. Raises UserError where that cannot be."""
    ceilings, moved, switched = tables
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ceilings.round(4).to_csv(folder / "ceilings.csv")
        moved.round(4).to_csv(folder / "sensitivity.csv")
        _switch_table(switched).round(4).to_csv(folder / "optimisations.csv")
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be written: {error.strerror or error}") from None


def _switch_table(switched: Mapping[str, tuple[int, int]]) -> pd.DataFrame:
    rows = [
        {"schedule": name, "dense_cycles": dense, "sparse_cycles": sparse, "speedup": dense / sparse}
        for name, (dense, sparse) in switched.items()
    ]
    return pd.DataFrame(rows).set_index("schedule")


def frame_table(frame: pd.DataFrame) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(str(frame.index.name))
    for column in frame.columns:
        table.add_column(str(column).replace("_", " "), justify="right")
    for name, row in frame.iterrows():
        table.add_row(str(name), *(_cell(value) for value in row))
    return table


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
