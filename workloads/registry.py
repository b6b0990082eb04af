"""Names of machines, dataflows, methods and all other parts: entry points, ours found exactly as an outsider's are."""

import re
import warnings
from functools import cache
from importlib.metadata import Distribution, EntryPoint, EntryPoints, distribution, entry_points
from json import loads
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from workloads.errors import UserError, unknown_name

if TYPE_CHECKING:
    from importlib.metadata import SelectableGroups

OURS = "sparsehil"  # the distribution; the groups of its entry points begin with this name
MACHINES = "sparsehil.machines"
COMPILERS = "sparsehil.compilers"
DATAFLOWS = "sparsehil.dataflows"
KERNELS = "sparsehil.kernels"
REFERENCES = "sparsehil.references"
BACKENDS = "sparsehil.backends"
METHODS = "sparsehil.methods"
MODELS = "sparsehil.models"
VIEWS = "sparsehil.views"
STUDIES = "sparsehil.studies"
CHECKS = "sparsehil.checks"
COMMANDS = "sparsehil.commands"
DESIGNS = "sparsehil.designs"
Part = TypeVar("Part")
ADDRESS = "file://"  # of a checkout, as pip notes it


class PartError(UserError):
    """A registered part that cannot be loaded."""


class LeftOut(UserWarning):
    """A registered part that cannot be loaded is left out, and the rest goes on."""


def names(group: str) -> list[str]:
    """The names registered in a group such as "sparsehil.methods", sorted."""
    return sorted({entry.name for entry in _entries(group)})


def entry_of(group: str, what: str, name: str) -> EntryPoint:
    """Where a name is registered, not loaded. Raises UserError for an unknown name, with the list and the nearest."""
    found = [entry for entry in _entries(group) if entry.name == name]
    if not found:
        raise unknown_name(what, name, names(group))
    return found[0]


def load_entry(group: str, what: str, name: str) -> Any:
    """The object registered under a name.

    `what` says what it is in messages ("method"). Raises UserError for an unknown name, with the list and the nearest
    match, and PartError for one that cannot be loaded, with its distribution and the reason.
    """
    entry = entry_of(group, what, name)
    try:
        return entry.load()
    except ModuleNotFoundError as error:
        raise PartError(f"{what} '{name}' {needs(error)}") from None
    except Exception as error:  # a module runs when it is imported: somebody else's may end in anything
        raise _refused(entry, f"{what} '{name}'", "loaded", error) from None


def _refused(entry: EntryPoint, part: str, how: str, error: Exception) -> Exception:
    """What a part's fault becomes: a sentence where it is somebody else's; one of ours stays the fault it is."""
    if entry.dist is not None and entry.dist.name == OURS:
        return error
    said = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return PartError(f"{part} of {_owner(entry)} cannot be {how}: {said}")


def load_part(group: str, what: str, name: str, kind: type[Part]) -> Part:
    """The part registered under a name: an object of a kind, or a class of it, which is made without arguments.

    Raises UserError as `load_entry` does, and PartError for what is no such object.
    """
    entry = entry_of(group, what, name)
    found = load_entry(group, what, name)
    try:
        made = found() if isinstance(found, type) else found
    except Exception as error:
        raise _refused(entry, f"{what} '{name}'", "made", error) from None
    if not isinstance(made, kind):
        wanted = f"{kind.__module__}.{kind.__name__}"
        raise PartError(f"{what} '{name}' of {_owner(entry)} is no {wanted}, so it cannot take part")
    return made


def load_parts(group: str, what: str, kind: type[Part]) -> dict[str, Part]:
    """Every part of a group by name. One that cannot be loaded is named in a warning, and the rest goes on."""
    found = {}
    for name in names(group):
        try:
            found[name] = load_part(group, what, name, kind)
        except PartError as error:
            warnings.warn(f"{error}; it is left out", LeftOut, stacklevel=2)
    return found


def owner_of(group: str, name: str) -> str:
    """The distribution, with its version, that registered a name; empty for ours and for a name that nobody did."""
    owners = [entry.dist for entry in _entries(group) if entry.name == name and entry.dist]
    return f"{owners[0].name} {owners[0].version}" if owners and owners[0].name != OURS else ""


def needs(error: ModuleNotFoundError) -> str:
    """What to say of a package that is missing: its name, and a pip command that brings it, from a checkout too."""
    package = (error.name or "").partition(".")[0]
    return f"needs the package '{package}', which is missing: {_pip(package)}"


def _pip(package: str) -> str:
    """The extra that has the package, from the checkout where there is one; otherwise the package itself."""
    ours = distribution(OURS)
    for text in ours.requires or ():
        found = re.match(r"([\w.-]+)([^;]*);.*extra == ['\"]([\w-]+)['\"]", text)
        if found and _module(found[1]) == package and found[3] != "dev":
            place = _checkout(ours)
            return f"pip install -e '{place}[{found[3]}]'" if place else f"pip install '{found[1]}{found[2].strip()}'"
    return f"pip install {package}"


def _module(name: str) -> str:
    """What a distribution is imported as, for those of ours that are called otherwise."""
    return {"scikit-learn": "sklearn", "pyserial": "serial", "dask": "distributed"}.get(name, name.replace("-", "_"))


def _checkout(ours: Distribution) -> str:
    """The folder that was installed with `pip install -e`; empty where it was a wheel."""
    node = loads(ours.read_text("direct_url.json") or "{}")
    editable = node.get("dir_info", {}).get("editable", False)
    return unquote(str(node["url"]).removeprefix(ADDRESS)) if editable else ""


def _owner(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


@cache
def _entries(group: str) -> EntryPoints:
    return _installed().select(group=group)


@cache
def _installed() -> "SelectableGroups":
    """All groups, read once: what is installed does not change under a running program, and is a hundred files."""
    return entry_points()


def split_target(target: str) -> tuple[str, str]:
    """Module and name of `package.module:name`. Raises UserError for anything else."""
    place, colon, name = target.partition(":")
    if not (place and colon and name):
        raise UserError(f"'{target}': write MODULE:NAME, for example mypkg.mymodule:build_model")
    return place, name
