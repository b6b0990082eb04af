"""`simulate area`: patterns and sizes through synthesis, beside a plain dense array."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli.verilog import FormatChoice, needs_amaranth

if TYPE_CHECKING:
    import pandas as pd

    from rtl.area import Area

USUAL = ["2:4", "2:8", "1:8", "2:16"]
README = """# What n:m costs in LUTs, and what is left at equal area

`{command}`, with {tools}.

`area.csv`: one row a pattern and size. `dense` is a plain array without selectors, the same format, latencies and
interleave. Cells of an ECP5 before placement, block by block; `luts` counts a carry cell as the two LUTs it takes the
place of; `fmax_mhz` is one PE, placed and routed alone on an LFE5U-85F (speed grade 6), one seed. `speedup_ideal` is
m/n; `speedup_equal_area` divides it by the LUTs of the sparse array over those of the dense one and multiplies by their
clocks' ratio: sparse work that keeps the array busy, arrays of equal area each at the clock of its PE.

`iso-area-*.csv`: the two rows that `simulate study iso-area` reads (pe, luts, fmax_mhz), of the largest size.
"""


def area(
    patterns: Annotated[
        list[str], typer.Option("--pattern", help="n:m; repeatable. [default: 2:4, 2:8, 1:8, 2:16]", show_default=False)
    ] = [],  # noqa: B006
    sizes: Annotated[
        list[int],
        typer.Option("--size", help="Rows and columns; repeatable. [default: 4, 8, 16, 32]", show_default=False),
    ] = [],  # noqa: B006
    form: FormatChoice = "fp16",
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the tables and the picture.")] = None,
) -> None:
    """LUT, FF, DSP and clock of arrays by pattern and size, and what is left of the speed-up at equal area."""
    from rtl.area import areas
    from rtl.parameters import make_parameters
    from simulator.cli.progress import steps_shown
    from workloads.pattern import DENSE, parse_pattern

    chosen = [DENSE, *(parse_pattern(each, "--pattern") for each in patterns or USUAL)]
    wanted = sorted(set(sizes or [4, 8, 16, 32]))
    all_parameters = [make_parameters(each, wanted[-1], wanted[-1], form) for each in chosen]
    make_parameters(DENSE, wanted[0], wanted[0], form)
    needs_amaranth()
    with steps_shown() as show:
        rows = [row for p in all_parameters for row in areas(p, wanted, show)]
    table = area_table(rows)
    typer.echo(table.to_string(index=False, float_format=lambda value: f"{value:.2f}"))
    if out is not None:
        _write(table, out)


def area_table(rows: "list[Area]") -> "pd.DataFrame":
    """A row an array; the dense one of the same size is what it is compared with."""
    import pandas as pd

    dense = {row.rows: row for row in rows if row.pattern == "dense"}
    out = []
    for row in rows:
        plain, ideal = dense[row.rows], 1.0
        if row.pattern != "dense":
            n, m = map(int, row.pattern.split(":"))
            ideal = m / n
        out.append(
            {
                "pattern": row.pattern,
                "format": row.format,
                "rows": row.rows,
                "cols": row.cols,
                "luts": row.luts,
                "flipflops": row.cells.flipflops,
                "dsps": row.cells.dsps,
                "block_rams": row.cells.block_rams,
                "fmax_mhz": round(row.fmax_mhz, 1),
                "luts_per_pe": round(row.luts_per_pe, 1),
                "luts_over_dense": round(row.luts / plain.luts, 3),
                "speedup_ideal": ideal,
                "speedup_equal_area": round(ideal * plain.luts / row.luts * row.fmax_mhz / plain.fmax_mhz, 3),
            }
        )
    return pd.DataFrame(out)


def _write(table: "pd.DataFrame", out: Path) -> None:
    from rtl.synthesis import versions

    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / "area.csv", index=False)
    last = table[table["rows"] == table["rows"].max()].set_index("pattern")
    for pattern in last.index.drop("dense"):
        two = last.loc[[pattern, "dense"], ["luts", "fmax_mhz", "format", "rows", "cols"]].reset_index()
        two.insert(0, "pe", ["sparse", "dense"])
        two.to_csv(out / f"iso-area-{pattern.replace(':', '-')}.csv", index=False)
    command = " ".join(["simulate", *sys.argv[1:]])
    (out / "README.md").write_text(README.format(command=command, tools=versions()))
    try:
        from reports.figures.area import area_figure
        from reports.figures.style import save_figure
    except ModuleNotFoundError:
        typer.echo("no picture: it needs matplotlib: pip install 'sparsehil[report]'", err=True)
        return
    save_figure(area_figure(table), out / "area")
