"""What a plain dense array of the area of a sparse one would do, by the area and the clock of our own RTL."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from reports.studies.csv_table import read_csv
from simulator.card import Card, Number
from simulator.result import Result
from simulator.runner import run_job
from workloads.errors import UserError
from workloads.registry import LeftOut

COLUMNS = ("pe", "luts", "fmax_mhz")
MOST = 1e12  # LUTs or MHz: as much as a machine may have
OURS = Path(__file__).parent / "results" / "area" / "area.csv"  # of `simulate area`, which is in the package
KIND, FORMAT, USUAL = "systolic", "rtl.format", "fp16"


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
        rows = {row["pe"]: row for row in read_csv(path, "an area table is CSV", COLUMNS)}
        found = [PeArea(float(rows[name]["luts"]), float(rows[name]["fmax_mhz"])) for name in ("sparse", "dense")]
    except (KeyError, ValueError):
        raise UserError(
            f"{path}: an area table has the columns {', '.join(COLUMNS)} and a row each for sparse and dense"
        ) from None
    if not all(0 < value <= MOST for each in found for value in vars(each).values()):
        raise UserError(f"{path}: luts and fmax_mhz are above 0, and at most {MOST:g}")
    return Areas(*found)


def own_areas(pattern: str, form: str) -> Areas | None:
    """The largest array of our RTL for a pattern, and the plain dense one of its size; None where none was synthesised.

    `simulate area` measured them: LUTs before placement and the clock of a placed array, on an ECP5.
    """
    rows = read_csv(OURS, "an area table is CSV", ("pattern", "format", "rows", *COLUMNS[1:]))
    sizes = {name: {int(row["rows"]): row for row in rows if (row["pattern"], row["format"]) == (name, form)}
             for name in (pattern, "dense")}  # fmt: skip
    both = sizes[pattern].keys() & sizes["dense"].keys()
    if not both:
        return None
    found = [sizes[name][max(both)] for name in (pattern, "dense")]
    return Areas(*(PeArea(float(row["luts"]), float(row["fmax_mhz"])) for row in found))


def plain_settings(card: Card, areas: Areas) -> tuple[str, ...]:
    """What turns the array of a machine into plain dense PEs: one weight each, one operand a row a cycle.

    Its static power is that of as much area: of as many PEs as the sparse array has, not of its own smaller ones.
    """
    numbers, energy = card.numbers, card.energy
    rows = whole(numbers, "array.rows")
    power = f"{rows} * array.cols"
    return (
        f"array.rows={areas.rows_of_equal_area(rows)}",
        *([f"energy.tables.{energy.table}.static_w.pe.of={power}"] if energy and "static.pe" in energy.entries else []),
        f"clock_mhz={float(numbers['clock_mhz'].value or 0) * areas.clock_ratio:.3f}",
        "array.group_max=1",
        "array.window_max=1",
        "array.west_link_operands_per_cycle=1",
        f"memory.west_port_bytes_per_row_cycle={whole(numbers, 'format.operand_bytes')}",
    )


def whole(numbers: Mapping[str, Number], path: str) -> int:
    """A whole number of the machine."""
    value = numbers[path].value
    assert isinstance(value, int)
    return value


def plain_result(result: Result, areas: Areas) -> Result:
    """The dense step on plain PEs of equal area, at their own clock. Raises UserError where it cannot be run."""
    job = result.card.job
    settings = (*job.settings, *plain_settings(result.card, areas))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeftOut)  # said when the result itself was made
        return run_job(replace(job, patterns=None, settings=settings, exact=False, dense=False))


def at_equal_area(result: Result) -> float | None:
    """Times as fast as a plain dense array that takes the LUTs of the sparse one, each at its own clock.

    By our own RTL for the pattern; None for a machine that is no such array, for a pattern whose array was not
    synthesised, and where the plain array cannot run the step. Memories and DRAM are the same for both.
    """
    numbers = result.card.numbers
    if result.card.kind != KIND or "rtl.rows" not in numbers or not result.cycles:
        return None
    form = str(numbers[FORMAT].value) if FORMAT in numbers else USUAL  # a word is among the numbers where it was set
    areas = own_areas(result.card.pattern, form)
    if areas is None:
        return None
    try:
        return plain_result(result, areas).seconds / result.seconds
    except UserError:
        return None


def equal_area_words(result: Result) -> str:
    """Behind a speed-up: what is left of it at equal area, and whose area that is; empty where that is not known."""
    found = at_equal_area(result)
    return "" if found is None else f", {found:.2f}x at equal area (LUTs and clock of our RTL, simulate area)"
