"""What commands have in common that take --core: its sizes from options, and its folder."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, final

import rtl
from rtl.formats import FloatFormat, operand_format
from workloads.console import console
from workloads.errors import UserError
from workloads.pattern import parse_pattern
from workloads.terminal import say

if TYPE_CHECKING:
    from rtl.core.program import CoreAsked

KIB = (0.25, 1024)  # the least and the most of a memory


@final
@dataclass(frozen=True)
class CoreSizes:
    """Options of a core's memories and queues, by the names that they have on the command line; None: not given."""

    west_kib: float | None = None
    north_kib: float | None = None
    output_kib: float | None = None
    raw_kib: float | None = None
    queue_depth: int | None = None

    def check_none(self) -> None:
        """Raises UserError for one that is given."""
        for each in fields(self):
            if getattr(self, each.name) is not None:
                raise UserError(f"{_option(each.name)}: this is for --core, and it is not given")

    def asked(
        self, pattern: str, rows: int | None, cols: int | None, form: str, more: Mapping[str, int | None]
    ) -> "CoreAsked":
        """The core that they ask for, memories not given as usual. Raises UserError for sizes that cannot be."""
        parse_pattern(pattern, "--pattern")
        if not isinstance(operand_format(form, "--format"), FloatFormat):
            raise UserError(f"--format: a core multiplies fp16 or bf16, not {form}")
        sizes = {each.name: getattr(self, each.name) for each in fields(self)}
        for name, value in sizes.items():
            if value is not None and name.endswith("_kib") and not KIB[0] <= value <= KIB[1]:
                raise UserError(f"{_option(name)}: {value:g} is not possible here; it must be {KIB[0]} to {KIB[1]}")
        sizes["queue"] = sizes.pop("queue_depth")
        usual = rtl.CoreAsked()
        size = {"rows": rows, "cols": rows if cols is None else cols}
        given = {name: value for name, value in {**sizes, **size, **more}.items() if value is not None}
        return rtl.CoreAsked(**{**vars(usual), **given, "pattern": pattern, "form": form})


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def check_given(options: Mapping[str, object]) -> None:
    """Raises UserError for an option that says nothing about a core. None: not given."""
    wrong = [name for name, value in options.items() if value is not None]
    if wrong:
        raise UserError(f"{wrong[0]}: a core has none; --core takes rows and columns, latencies and sizes of memories")


def write_core(asked: "CoreAsked", prefix: str, cells: bool, out: Path | None, force: bool) -> None:
    """Write a core's folder and say where it is."""
    rtl.check_prefix(prefix)
    name = f"{asked.pattern.replace(':', 'x')}-{asked.form}-{asked.rows}x{asked.cols}"
    folder = out or Path(f"verilog-core-{name}")
    rtl.check_folder(folder, rtl.export_owns, force)
    command = " ".join(["simulate", *sys.argv[1:]])
    with console(error=True).status(f"writing the core {name}"):
        design = rtl.core_design(asked)
        files = rtl.export_core(design, rtl.CoreMap(design.layout, asked.queue), command, prefix, cells)
    rtl.write_files(folder, files, rtl.export_owns, force)
    p = design.layout.shape.array
    say(f"{folder}: core of {p.title}, {p.rows * p.cols} PEs; README.md says how a host uses it; run there:")
    say("  python bench/run.py")
