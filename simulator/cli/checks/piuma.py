"""PIUMA: SMASH's published ratio."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.checks import Check

RATIO = "SMASH speedup as compared to competing approaches mapped to PIUMA"


def checks() -> "list[Check]":
    """The one published ratio."""
    from simulator.cli.checks.published import figures, unknown

    return [unknown("piuma", figures("piuma")[RATIO], "the baseline of the paper and its inputs could not be read")]
