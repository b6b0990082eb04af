"""S4: the vendor's own MLPerf points."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.checks import Check

EXCLUDED = "explained, excluded: the sparsity ratio of the submissions is not public, nor are clock and L2"


def checks() -> "list[Check]":
    """A row a submission."""
    from simulator.cli.checks.published import figures, unknown

    return [unknown("s4", row, EXCLUDED) for item, row in figures("s4").items() if item.startswith("MLPerf")]
