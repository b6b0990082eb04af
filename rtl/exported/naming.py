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


def hushed(verilog: str) -> str:
    """The text with warnings of Verilator off that generated Verilog earns, for it alone."""
    off = [f"/* verilator lint_off {each} */" for each in OFF]
    return "\n".join(["/* verilator lint_save */", *off, verilog, "/* verilator lint_restore */", ""])


def prefixed(verilog: str, prefix: str, known: Sequence[str] = ()) -> str:
    """The text with `prefix` before the names of its modules, and of those `known` that are defined elsewhere.

    Two arrays of one design can have different prefixes; otherwise the second one's PEs would be the first one's.
    """
    names = {*re.findall(r"^module (\w+)", verilog, re.MULTILINE), *known}
    if not prefix or not names:
        return verilog
    listed = "|".join(sorted(names, key=len, reverse=True))
    # a module's definition, and an instance of it: the name, then that of the instance and its ports
    verilog = re.sub(rf"^module ({listed})\b", rf"module {prefix}\1", verilog, flags=re.MULTILINE)
    return re.sub(rf"^(\s+)({listed}) +(?=\S+ \()", rf"\g<1>{prefix}\g<2> ", verilog, flags=re.MULTILINE)
