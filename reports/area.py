"""What n:m costs over a plain dense array: arrays through synthesis, as a table and a folder. Needs the extra `rtl`."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from reports import figures
from reports.output import write_folder
from rtl.parameters import Parameters
from rtl.synthesis import Area, areas, versions
from workloads.progress import steps_shown

README = """# What n:m costs in LUTs, and what is left at equal area

`{command}`, with {tools}.

`area.csv`: one row a pattern and size. `dense` is a plain array without selectors, the same format, latencies and
interleave. Cells of an ECP5 before placement, block by block; `luts` counts a carry cell as the two LUTs it takes the
place of, LUTs that serve as memory apart; `fmax_mhz` is an array of 4 x 4 between registers, placed and routed on an
LFE5U-85F (speed grade 6), the median of three seeds. `speedup_ideal` is m/n; `speedup_equal_area` divides it by the
LUTs of the sparse array over those of the dense one and multiplies by their clocks' ratio: sparse work that keeps the
array busy, arrays of equal area each at its own clock.

`iso-area-*.csv`: the two rows that `simulate study iso-area` reads (pe, luts, fmax_mhz), of the largest size.
"""


def synthesised(parameters: Sequence[Parameters], sizes: Sequence[int]) -> list[Area]:
    """Every array at every size. Raises UserError when a tool is missing."""
    with steps_shown() as show:
        return [row for each in parameters for row in areas(each, list(sizes), show)]


def area_table(rows: Sequence[Area]) -> pd.DataFrame:
    """A row an array; the dense one of the same size is what it is compared with."""
    dense = {row.rows: row for row in rows if row.pattern == "dense"}
    return pd.DataFrame([_row(row, dense[row.rows]) for row in rows])


def _row(row: Area, plain: Area) -> dict[str, str | int | float]:
    ideal = 1.0
    if row.pattern != "dense":
        n, m = map(int, row.pattern.split(":"))
        ideal = m / n
    return {
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


def write_area(table: pd.DataFrame, out: Path, command: str) -> None:
    """Write area.csv, two rows for `simulate study iso-area` a pattern, README.md and the picture.

    Raises UserError where they cannot be written.
    """
    last = table[table["rows"] == table["rows"].max()].set_index("pattern")
    texts = {"area.csv": table.to_csv(index=False), "README.md": README.format(command=command, tools=versions())}
    for pattern in last.index.drop("dense"):
        two = last.loc[[pattern, "dense"], ["luts", "fmax_mhz", "format", "rows", "cols"]].reset_index()
        two.insert(0, "pe", ["sparse", "dense"])
        texts[f"iso-area-{pattern.replace(':', '-')}.csv"] = two.to_csv(index=False)
    write_folder(out, texts, lambda: {"area": figures.area_figure(table)})
