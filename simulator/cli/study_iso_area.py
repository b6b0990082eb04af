"""`simulate study iso-area`: sparse and dense on one array, beside a plain dense array that is as large."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli.options import BatchOption, SetOption

if TYPE_CHECKING:
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
    from reports.page.content import compared_table
    from reports.terminal import wide_console
    from simulator.cli.job import Choices, run_job

    found = read_areas(areas)
    base = Choices(arch="sat", patterns=(pattern,), method="bdwp", model=model, batch=batch, settings=tuple(settings))
    job = run_job(base, ["simulate", "study", "iso-area"])
    plain = run_job(replace(base, patterns=(), settings=(*base.settings, *plain_settings(job.sparse, found))), [])
    results = [job.dense, job.sparse, plain.dense]
    labels = ["dense, sparse PEs", f"{pattern}, sparse PEs", "dense, plain PEs of equal area"]
    table = compared_table(results, labels)
    console = wide_console()
    for row in table.rows:
        console.print(
            "  ".join(f"{name}: {cell.text}" for name, cell in zip(table.columns, row, strict=True) if cell.text)
        )
    _write(results, labels, out)


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
