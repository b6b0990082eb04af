"""Counts what keeps the house readable: `python -m tests.house`. `test_house.py` holds the limits.

Imports inside functions, uses of `Any` outside the bodies that numba compiles, statements without docstrings, and the
longest modules, over the five rooms.
"""

import ast
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("simulator", "rtl", "workloads", "dataflows", "reports")


GIVEN = "rtl/exported/bench/"  # programs that go with an exported array, no part of this one
FILES = "workloads/files/"  # the one place that reads and writes
# Calls that read or write a file, as methods of a path or functions of a library.
TOUCHES = frozenset(
    ("open", "read_text", "read_bytes", "write_text", "write_bytes", "unlink", "rmtree", "mkstemp", "mkdtemp",
     "NamedTemporaryFile", "TemporaryDirectory", "safe_open", "load_file", "save_file", "savefig", "mmread", "mminfo",
     "ParquetFile", "read_parquet")
)  # fmt: skip
PRINTS = frozenset(
    ("print", "typer.echo", "typer.secho", "Console")
)  # typer's and rich's, which show what a terminal would obey


@dataclass
class Count:
    """Totals over all files, and where imports inside functions and `Any` are. Not frozen: it grows file by file."""

    statements: int = 0
    imports: Counter[str] = field(default_factory=Counter)
    bare_imports: list[str] = field(default_factory=list)  # inside a function, without a comment
    anys: Counter[str] = field(default_factory=Counter)
    lines: dict[str, int] = field(default_factory=dict)
    touches: Counter[tuple[str, str]] = field(default_factory=Counter)  # (file, call), outside `FILES`
    prints: Counter[str] = field(default_factory=Counter)


def counted() -> Count:
    """The rooms as they stand in the working tree."""
    found = Count()
    for path in _files():
        text = (ROOT / path).read_text(encoding="utf-8")
        found.lines[path] = text.count("\n")
        lines, tree = text.splitlines(), ast.parse(text)
        found.statements += sum(map(_statements, ast.walk(tree)))
        for node in _inside_functions(tree):
            found.imports[path] += 1
            if not any("#" in line for line in lines[max(0, node.lineno - 2) : node.end_lineno]):
                found.bare_imports.append(f"{path}:{node.lineno}")
        found.anys[path] += sum(1 for _ in _anys(tree))
        for name in _called(tree):
            if name in TOUCHES and not path.startswith(FILES):
                found.touches[path, name] += 1
        found.prints[path] += sum(ast.unparse(each.func) in PRINTS for each in _calls(tree))
    return found


def _called(tree: ast.AST) -> Iterator[str]:
    """The last names of all calls but those of functions that were imported by their own name from `FILES`."""
    own = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("workloads.files")
        for alias in node.names
    }
    for call in _calls(tree):
        if isinstance(call.func, ast.Attribute):
            yield call.func.attr
        elif isinstance(call.func, ast.Name) and call.func.id not in own:
            yield call.func.id


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _files() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *(f"{room}/**.py" for room in ROOMS)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return sorted(path for path in listed.stdout.splitlines() if (ROOT / path).is_file() and not path.startswith(GIVEN))


def _statements(node: ast.AST) -> int:
    """One for a statement; a docstring is none."""
    documented = isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    return isinstance(node, ast.stmt) - bool(documented and ast.get_docstring(node, clean=False) is not None)


def _inside_functions(tree: ast.AST, inside: bool = False) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in ast.iter_child_nodes(tree):
        if inside and isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        yield from _inside_functions(node, inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _anys(tree: ast.AST) -> Iterator[ast.Name]:
    """Uses of the name `Any`, those in functions that numba compiles left out: numba sees no annotations."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef) and any(
            ast.unparse(each).startswith("compiled(") for each in node.decorator_list
        ):
            continue
        if isinstance(node, ast.Name) and node.id == "Any":
            yield node
        yield from _anys(node)


if __name__ == "__main__":
    now = counted()
    print(f"statements without docstrings {now.statements}")
    print(f"imports inside functions {now.imports.total()}: {now.imports.most_common(12)}")
    print(f"  of them without a comment: {now.bare_imports}")
    print(f"Any outside numba bodies {now.anys.total()}: {now.anys.most_common(12)}")
    print(f"calls that touch files outside {FILES}: {sorted(now.touches.items())}")
    print(f"calls that print by themselves: {[each for each in now.prints.items() if each[1]]}")
    print(f"longest modules {Counter(now.lines).most_common(5)}")
