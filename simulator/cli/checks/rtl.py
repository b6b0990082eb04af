"""The array in RTL: cycles and values that have to be exactly the model's."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.checks import Check


def checks() -> "list[Check]":
    """What the comparison of RTL and model counted; unknown as long as nobody ran it."""
    from reports.checks import Check
    from workloads.provenance import Provenance

    return [
        Check(
            machine="rtl",
            what="cycles of sampled tiles on the compiled RTL",
            unit="cycles",
            theirs=None,
            ours=None,
            provenance=Provenance.UNKNOWN,
            source="none yet",
            hangs_on="the RTL is not compared yet",
        )
    ]
