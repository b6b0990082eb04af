"""Names and headers of exported Verilog."""

import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from workloads.errors import UserError

OFF = ("WIDTHEXPAND", "WIDTHTRUNC", "CASEINCOMPLETE", "PROCASSINIT", "UNUSEDSIGNAL", "DECLFILENAME")
PREFIX = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def release() -> str:
    """This program's version."""
    try:
        return version("sparsehil")
    except PackageNotFoundError:
        return "unknown"


def check_prefix(prefix: str) -> str:
    """The prefix. Raises UserError for one that Verilog's names cannot begin with."""
    if prefix and not PREFIX.fullmatch(prefix):
        raise UserError(f"--prefix: '{prefix}' cannot begin a name; letters, digits and _ can, a digit not first")
    return prefix


def header(lines: Sequence[str]) -> str:
    """A comment above Verilog."""
    return "\n".join([*(f"// {line}".rstrip() for line in lines), ""])


REGISTER = re.compile(r"^(  reg (?:\[[^\]]+\] )?(\S+)) += ([^;]+);$", re.MULTILINE)


def hushed(verilog: str) -> str:
    """The text as others get it: warnings of Verilator off that generated Verilog earns, for it alone.

    Initial values are statements of their own. With a declaration, SystemVerilog has them before anything runs, so that
    an `always @*` whose inputs stay as they are would never run, and its outputs stay unknown.
    """
    verilog = REGISTER.sub(lambda found: f"{found[1]} ;\n  initial {found[2]} = {found[3]};", verilog)
    off = [f"/* verilator lint_off {each} */" for each in OFF]
    return "\n".join(["/* verilator lint_save */", *off, verilog, "/* verilator lint_restore */", ""])


def prefixed(verilog: str, top: str, prefix: str, known: Sequence[str] = ()) -> str:
    """The text with `prefix` before the names of its modules, and of those `known` that are defined elsewhere.

    Names that do not begin with that of the top get it too: row_edge is sparse_array_row_edge. Two arrays of one design
    can have different prefixes; otherwise the second one's PEs would be the first one's.
    """
    names = {*re.findall(r"^module (\w+)", verilog, re.MULTILINE), *known}
    listed = "|".join(sorted(names, key=len, reverse=True))

    def named(name: str) -> str:
        return prefix + (name if name.startswith(top) else f"{top}_{name}")

    # a module's definition, and an instance of it: the name, then that of the instance and its ports
    definition, instance = rf"^module ({listed})\b", rf"^(\s+)({listed}) +(?=\S+ \()"
    verilog = re.sub(definition, lambda found: f"module {named(found[1])}", verilog, flags=re.MULTILINE)
    return re.sub(instance, lambda found: f"{found[1]}{named(found[2])} ", verilog, flags=re.MULTILINE)
