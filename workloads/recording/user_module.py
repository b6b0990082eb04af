"""A user's own module: found by `package.module:name`, built, and looked over before a method is put on it."""

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from torch import nn

from workloads.errors import UserError, unknown_name
from workloads.registry import split_target
from workloads.training.memory import is_memory

MISSING = object()
Builder = Callable[..., object] | nn.Module


@contextmanager
def current_folder_first() -> Iterator[None]:
    """Modules of the folder the command runs in can be imported, as with `python -m`."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def find_named(target: str) -> object:
    """What `package.module:name` names. Raises UserError where there is none."""
    place, name = split_target(target)
    module = _imported(place)
    with blamed_on(f"{target}: looking it up stopped"):
        found = getattr(module, name, MISSING)
    if found is MISSING:
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise unknown_name(f"name in {place}", name, known)
    return found


def find_target(target: str) -> Builder:
    """What `package.module:name` names: a module, or what builds one. Raises UserError where there is none."""
    found = find_named(target)
    if not isinstance(found, nn.Module) and not callable(found):
        raise UserError(
            f"{target}: is a {type(found).__name__}; wanted is a torch module or a function that builds one"
        )
    return found


def build(target: str, found: Builder, config: Mapping[str, object] | None = None) -> nn.Module:
    """The module, not compiled and in training mode.

    config: keyword arguments for what builds it; a class with a configuration of its own, as those of transformers,
    gets them in one. Raises UserError where building fails or gives something else.
    """
    if config and isinstance(found, nn.Module):
        raise UserError(f"{target}: is a module already; --config is for a function or class that builds one")
    with blamed_on(f"{target}: building it stopped"):
        configured = getattr(found, "config_class", None)
        if isinstance(found, nn.Module):
            model: object = found
        elif isinstance(found, type) and configured is not None:
            model = found(configured(**(config or {})))
        else:
            model = found(**(config or {}))
        if isinstance(model, nn.Module):
            return uncompiled(model).train()
    raise UserError(f"{target}: gives a {type(model).__name__}; wanted is a torch module")


@contextmanager
def blamed_on(what: str) -> Iterator[None]:
    """Whatever the user's code raises becomes one sentence that starts with `what`."""
    try:
        yield
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a user's own may stand beside Exception, as SystemExit does
        raise UserError(f"{what}: {_said(error)}") from None


def _said(error: BaseException) -> str:
    """The kind of an error and its first sentence, as far as it can be asked for."""
    if is_memory(error):
        return "there is not enough memory for that"
    try:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    except Exception:  # its text is made by the user's code too
        lines = []
    first = lines[0].partition(". ")[0] if lines else ""  # torch's own lists go on for pages
    return f"{type(error).__name__}{': ' + first if first else ''}"


def uncompiled(model: nn.Module) -> nn.Module:
    """The module with every `torch.compile` taken off: compiling changes no product, and hides the layers' names."""
    while type(model).__name__ == "OptimizedModule":
        model = model.get_submodule("_orig_mod")
    for name, module in list(model.named_modules()):
        if type(module).__name__ == "OptimizedModule":
            model.set_submodule(name, uncompiled(module))
    for module in model.modules():
        module._compiled_call_impl = None
    return model


def _imported(place: str) -> ModuleType:
    with blamed_on(f"{place}: importing it stopped"):
        try:
            return importlib.import_module(place)
        except ModuleNotFoundError as error:
            if error.name and f"{place}.".startswith(f"{error.name}."):
                where = "the current folder and the installed packages"
                raise UserError(f"there is no module '{error.name}'; looked for '{place}' in {where}") from None
            raise UserError(f"{place}: importing it needs the package '{error.name}', which is missing") from None
