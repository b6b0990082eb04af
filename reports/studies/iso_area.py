"""Set a step on SAT beside the plain dense array of equal area at its own clock."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from reports import figures
from reports.energy import energy_total, has_energy
from reports.output import frame_table, wide_console, write_folder
from reports.studies.csv_table import read_csv
from simulator.job import Job, Source
from simulator.result import Result
from simulator.runner import run_job
from workloads.errors import UserError
from workloads.options import BatchOption, SetOption
from workloads.terminal import say
from workloads.work import Work

COLUMNS = ("pe", "luts", "fmax_mhz")
MOST = 1e12  # LUTs or MHz: as much as a machine may have


def study_iso_area(
    areas: Annotated[Path, typer.Argument(help="CSV with columns pe (sparse, dense), luts, fmax_mhz.")],
    pattern: Annotated[str, typer.Option("--pattern", help="n:m everywhere but the layers kept dense.")] = "2:8",
    model: Annotated[str, typer.Option("--model", help="A captured model.")] = "resnet18",
    batch: BatchOption = None,
    settings: SetOption = [],  # noqa: B006
    out: Annotated[Path, typer.Option("--out", help="Folder for the picture; files of its name are replaced.")] = Path(
        "iso-area"
    ),
) -> None:
    """Set a step on SAT beside the plain dense array of equal area at its own clock."""
    found = read_areas(areas)
    job = Job(Source("sat"), Work(model=model, batch=batch), (pattern,), "bdwp", tuple(settings))
    sparse = run_job(job)
    more = (*job.settings, *plain_settings(sparse, found))
    plain = run_job(replace(job, patterns=None, settings=more, dense=False))
    results = [sparse.baseline, sparse, plain]
    labels = ["dense, sparse PEs", f"{pattern}, sparse PEs", "dense, plain PEs of equal area"]
    wide_console().print(frame_table(_table(results, labels)))
    if write_folder(out, {}, lambda: {"iso-area": figures.iso_area_figure(results, labels)}):
        say(f"written: {out}/iso-area.png, iso-area.svg")


@dataclass(frozen=True)
class PeArea:
    """LUTs of one PE (or whatever stands for area, the same for all), and the clock it reaches."""

    luts: float
    fmax_mhz: float


@dataclass(frozen=True)
class Areas:
    """A sparse PE and a plain dense one, made with the same tools for the same device."""

    sparse: PeArea
    dense: PeArea

    def rows_of_equal_area(self, rows: int) -> int:
        """Rows of plain dense PEs that take no more area than so many rows of sparse ones, as many columns each."""
        return max(1, int(rows * self.sparse.luts / self.dense.luts))

    @property
    def clock_ratio(self) -> float:
        return self.dense.fmax_mhz / self.sparse.fmax_mhz


def read_areas(path: Path) -> Areas:
    """A CSV with the columns pe (sparse, dense), luts and fmax_mhz; other columns and rows are left alone.

    Raises UserError for anything else.
    """
    try:
        rows = {row["pe"]: row for row in read_csv(path, "an area table is CSV", COLUMNS).to_dict("records")}
        found = [PeArea(float(rows[name]["luts"]), float(rows[name]["fmax_mhz"])) for name in ("sparse", "dense")]
    except (KeyError, ValueError):
        raise UserError(
            f"{path}: an area table has the columns {', '.join(COLUMNS)} and a row each for sparse and dense"
        ) from None
    if not all(0 < value <= MOST for each in found for value in vars(each).values()):
        raise UserError(f"{path}: luts and fmax_mhz are above 0, and at most {MOST:g}")
    return Areas(*found)


def plain_settings(result: Result, areas: Areas) -> tuple[str, ...]:
    """What turns the array of a result into plain dense PEs: one weight each, one operand a row a cycle.

    Its static power is that of as much area: of as many PEs as the sparse array has, not of its own smaller ones.
    """
    sparse_rows, energy = _whole(result, "array.rows"), result.card.energy
    power = f"{sparse_rows} * array.cols"
    return (
        f"array.rows={areas.rows_of_equal_area(sparse_rows)}",
        *([f"energy.tables.{energy.table}.static_w.pe.of={power}"] if energy and "static.pe" in energy.entries else []),
        f"clock_mhz={result.card.clock_mhz * areas.clock_ratio:.3f}",
        "array.group_max=1",
        "array.window_max=1",
        "array.west_link_operands_per_cycle=1",
        f"memory.west_port_bytes_per_row_cycle={_whole(result, 'format.operand_bytes')}",
    )


def _whole(result: Result, path: str) -> int:
    """A whole number of the machine."""
    value = result.card.numbers[path].value
    assert isinstance(value, int)
    return value


def _table(results: Sequence[Result], labels: Sequence[str]) -> pd.DataFrame:
    """A row an array: its size and clock, and what the step takes on it."""
    rows = []
    for label, result in zip(labels, results, strict=True):
        energy = {"J": energy_total(result).joules} if has_energy(result) else {}
        rows.append(
            {
                "array": label,
                "size": f"{_whole(result, 'array.rows')} x {_whole(result, 'array.cols')}",
                "MHz": result.card.clock_mhz,
                "cycles": result.cycles,
                "ms": result.seconds * 1e3,
                **energy,
            }
        )
    table = pd.DataFrame(rows).set_index("array")
    return table.assign(**{"times as fast": table["ms"].iloc[0] / table["ms"]})
