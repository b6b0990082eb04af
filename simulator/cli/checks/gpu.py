"""GPU points: what MLPerf submissions reached on GPUs. No GPU is modelled; they are there to be read beside others."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.checks import Check

NOT_MODELLED = "no GPU is modelled: a point to read other machines by"


def checks() -> "list[Check]":
    """A row a submission."""
    from simulator.cli.checks.published import figures, unknown

    return [unknown("gpu", row, NOT_MODELLED) for item, row in figures("gpu").items() if "MLPerf" in item]
