"""`simulate study iso-area`: sparse and dense on one array, beside a plain dense array that is as large."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli.options import BatchOption, SetOption

if TYPE_CHECKING:
    import pandas as pd

    from reports.area import Areas
    from simulator.result import Result


def study_iso_area(
    areas: Annotated[Path, typer.Argument(help="CSV with columns pe (sparse, dense), luts, fmax_mhz.")],
    pattern: Annotated[str, typer.Option("--pattern", help="n:m everywhere but the layers kept dense.")] = "2:8",
    model: Annotated[str, typer.Option("--model", help="A captured model.")] = "resnet18",
    batch: BatchOption = None,
    settings: SetOption = [],  # noqa: B006
    out: Annotated[Path, typer.Option("--out", help="Folder for the table and the picture.")] = Path("iso-area"),
) -> None:
    """Set a step on SAT beside the plain dense array of equal area at its own clock."""
    from reports.area import read_areas
    from reports.terminal import wide_console
    from reports.validation import frame_table
    from simulator.cli.choices import Choices
    from simulator.cli.job import run_job

    found = read_areas(areas)
    base = Choices(arch="sat", patterns=(pattern,), method="bdwp", model=model, batch=batch, settings=tuple(settings))
    job = run_job(base, ["simulate", "study", "iso-area"])
    plain = run_job(replace(base, patterns=(), settings=(*base.settings, *plain_settings(job.sparse, found))), [])
    results = [job.dense, job.sparse, plain.dense]
    labels = ["dense, sparse PEs", f"{pattern}, sparse PEs", "dense, plain PEs of equal area"]
    wide_console().print(frame_table(_table(results, labels)))
    _write(results, labels, out)


def _table(results: "list[Result]", labels: list[str]) -> "pd.DataFrame":
    """A row an array: its size and clock, and what the step takes on it."""
    import pandas as pd

    from reports.energy import energy_total, has_energy

    rows = []
    for label, result in zip(labels, results, strict=True):
        numbers, seconds = result.card["numbers"], result.cycles / (float(result.card["clock_mhz"]) * 1e6)
        size = f"{numbers['array.rows']['value']} x {numbers['array.cols']['value']}"
        row: dict[str, object] = {"array": label, "size": size}
        row |= {"MHz": float(result.card["clock_mhz"]), "cycles": result.cycles, "ms": seconds * 1e3}
        row |= {"J": energy_total(result).joules} if has_energy(result) else {}
        rows.append(row)
    table = pd.DataFrame(rows).set_index("array")
    return table.assign(**{"times as fast": table["ms"].iloc[0] / table["ms"]})


def plain_settings(result: "Result", areas: "Areas") -> tuple[str, ...]:
    """What turns the array of a result into plain dense PEs: one weight each, one operand a row a cycle."""
    numbers = result.card["numbers"]
    rows = areas.rows_of_equal_area(int(numbers["array.rows"]["value"]))
    clock = float(numbers["clock_mhz"]["value"]) * areas.clock_ratio
    operand = int(numbers["format.operand_bytes"]["value"])
    return (
        f"array.rows={rows}",
        f"clock_mhz={clock:.3f}",
        "array.group_max=1",
        "array.window_max=1",
        "array.west_link_operands_per_cycle=1",
        f"memory.west_port_bytes_per_row_cycle={operand}",
    )


def _write(results: "list[Result]", labels: list[str], out: Path) -> None:
    try:
        from reports.figures.iso_area import iso_area_figure
        from reports.figures.style import save_figure
    except ModuleNotFoundError:
        typer.echo("no picture: it needs matplotlib: pip install 'sparsehil[report]'", err=True)
        return
    save_figure(iso_area_figure(results, labels), out / "iso-area")
    typer.echo(f"written: {out}/iso-area.png, iso-area.svg")
