"""Names of machines, dataflows, methods and models: entry points, ours found exactly as an outsider's are."""

from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any

from workloads.errors import UserError, unknown_name

METHODS = "sparsehil.methods"
MODELS = "sparsehil.models"


def names(group: str) -> list[str]:
    """The names registered in a group such as "sparsehil.methods", sorted."""
    return sorted({entry.name for entry in _entries(group)})


def load_entry(group: str, what: str, name: str) -> Any:
    """The object registered under a name.

    `what` says what it is in messages ("method"). Raises UserError for an unknown name, with the list and the nearest
    match, and for one whose module needs a package that is not installed.
    """
    found = [entry for entry in _entries(group) if entry.name == name]
    if not found:
        raise unknown_name(what, name, names(group))
    return _load(found[0], what)


@cache
def _entries(group: str) -> EntryPoints:
    """Read once: what is installed does not change under a running program."""
    return entry_points(group=group)


def _load(entry: EntryPoint, what: str) -> Any:
    try:
        return entry.load()
    except ModuleNotFoundError as error:
        hint = "pip install 'sparsehil[train]'" if error.name in ("torch", "sklearn") else f"pip install {error.name}"
        raise UserError(f"{what} '{entry.name}' needs the package '{error.name}', which is missing: {hint}") from None
