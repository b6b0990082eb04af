"""Areas of PEs, and the plain dense array that is as large as a sparse one."""

import csv
from dataclasses import dataclass
from pathlib import Path

from workloads.errors import UserError

COLUMNS = ("pe", "luts", "fmax_mhz")


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
        with path.open(encoding="utf-8", newline="") as lines:
            rows = {row.get("pe", ""): row for row in csv.DictReader(lines)}
        found = [PeArea(float(rows[name]["luts"]), float(rows[name]["fmax_mhz"])) for name in ("sparse", "dense")]
    except OSError as error:
        raise UserError(f"{path}: no area table: {error.strerror or error}") from None
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"{path}: an area table has the columns {', '.join(COLUMNS)} and a row each for sparse and dense"
        ) from None
    if min(min(vars(each).values()) for each in found) <= 0:
        raise UserError(f"{path}: luts and fmax_mhz are above 0")
    return Areas(*found)
