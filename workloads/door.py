"""A package's door: its public names, each imported from the module that has it when it is first asked for."""

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path


def door_of(package: str, file: str) -> Callable[[str], object]:
    """The `__getattr__` of a package. file: its `__init__.py`, beside which a stub `__init__.pyi` lists the names.

    So `import simulator` costs nothing, and a command that ends in an error message imports neither numba nor pandas.
    The stub is what type checkers read too: `from simulator.runner import run_job as run_job`.
    """
    stub = ast.parse(Path(file).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    homes = {alias.name: node.module or "" for node in imports for alias in node.names}

    def find(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        found: object = getattr(import_module(homes[name]), name)
        setattr(sys.modules[package], name, found)
        return found

    module = sys.modules[package]
    module.__dict__["__dir__"] = lambda: sorted({*vars(module), *homes})  # what an editor completes names by
    return find
