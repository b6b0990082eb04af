"""Set a step on SAT beside the plain dense array of equal area at its own clock."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from reports import figures
from reports.energy import energy_total, has_energy
from reports.equal_area import plain_result, read_areas, whole
from reports.output import frame_table, wide_console, write_folder
from simulator.job import Job, Source
from simulator.result import Result
from simulator.runner import run_job
from workloads.options import BatchOption, SetOption
from workloads.terminal import say
from workloads.work import Work


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
    results = [sparse.baseline, sparse, plain_result(sparse, found)]
    labels = ["dense, sparse PEs", f"{pattern}, sparse PEs", "dense, plain PEs of equal area"]
    wide_console().print(frame_table(_table(results, labels)))
    if write_folder(out, {}, lambda: {"iso-area": figures.iso_area_figure(results, labels)}):
        say(f"written: {out}/iso-area.png, iso-area.svg")


def _table(results: Sequence[Result], labels: Sequence[str]) -> pd.DataFrame:
    """A row an array: its size and clock, and what the step takes on it."""
    rows = []
    for label, result in zip(labels, results, strict=True):
        energy = {"J": energy_total(result).joules} if has_energy(result) else {}
        rows.append(
            {
                "array": label,
                "size": f"{whole(result.card.numbers, 'array.rows')} x {whole(result.card.numbers, 'array.cols')}",
                "MHz": result.card.clock_mhz,
                "cycles": result.cycles,
                "ms": result.seconds * 1e3,
                **energy,
            }
        )
    table = pd.DataFrame(rows).set_index("array")
    return table.assign(**{"times as fast": table["ms"].iloc[0] / table["ms"]})
