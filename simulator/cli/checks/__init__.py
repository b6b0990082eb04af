"""`simulate validate`: one module a machine, with `checks()`, the rows it adds to the table of everything.

A machine that also has a report of its own (`simulate validate sat`) has `detail(Request)`.
"""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.checks import Check

MODULES = ("dense", "rtl", "sat", "s4", "gpu", "piuma", "training")
DETAILED = ("sat", "s4")


@dataclass(frozen=True)
class Request:
    """What `simulate validate MACHINE` was asked for."""

    pattern: str
    model: str
    settings: tuple[str, ...]
    out: Path | None


def rows(name: str) -> "list[Check]":
    """The rows of one module."""
    found: list[Check] = import_module(f"{__name__}.{name}").checks()
    return found


def detail(machine: str, request: Request) -> None:
    """The report of one machine alone. Raises UserError for a machine without one."""
    from workloads.errors import unknown_name

    if machine not in DETAILED:
        raise unknown_name("machine to validate alone", machine, DETAILED)
    import_module(f"{__name__}.{machine}").detail(request)
