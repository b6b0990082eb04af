"""The array in RTL, compiled and run: its cycles and sums have to be exactly the model's and the golden values."""

import reports.checks
from reports.checks.base import Check, CheckSuite
from workloads.errors import UserError
from workloads.provenance import Provenance

PRODUCTS, SEED = 30, 11
ROWS, COLS, FORM, PATTERN = 3, 2, "int8", "2:8"  # the array its tests build too, so that one compilation serves both
NOTHING = "nothing: the same timing function gives the simulator's cycles"


def checks() -> list[Check]:
    """Cycles and sums of random products in both dataflows; unknown where the tools that compile RTL are missing."""
    try:
        found = reports.checks.compared(PATTERN, ROWS, COLS, FORM, PRODUCTS, SEED)
    except (UserError, ModuleNotFoundError) as error:
        return [_row("cycles", "cycles", None, None, f"the RTL was not compiled: {error}")]
    right = "nothing: integers, added up in the array's order"
    return [
        _row("cycles", "cycles", found.cycles, found.model_cycles, NOTHING),
        _row("sums that are right in every bit", "sums", found.sums, found.right_sums, right),
    ]


RTL = CheckSuite(checks, order=2)


def _row(what: str, unit: str, theirs: float | None, ours: float | None, hangs_on: str) -> Check:
    return Check(
        machine="rtl",
        what=f"{what}: {PRODUCTS} random products in both dataflows on a compiled {ROWS} x {COLS} {FORM} array",
        unit=unit,
        theirs=theirs,
        ours=ours,
        provenance=Provenance.UNKNOWN if theirs is None else Provenance.MEASURED,
        source="the array of rtl/ in Verilator, run now",
        hangs_on=hangs_on,
    )
