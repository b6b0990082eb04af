"""Kinds of inputs, and what one input is."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import tests.fuzz.inputs as modules

Draw = Callable[[Any], Any]  # of a strategy of Hypothesis's
Check = Callable[[Path, str], str]  # the folder and standard output; what is wrong with them, "" for nothing


def nothing_wrong(folder: Path, out: str) -> str:
    """No check of its own."""
    del folder, out
    return ""


@dataclass(frozen=True)
class Input:
    """What is run in the folder that was filled for it.

    line: the words after `simulate`. call: a function in place of that command, which gives an exit code or raises
    UserError. makes: names that an accepted input may make or change. keeps: those that a refused one may, too: a
    sweep keeps what it has finished. check: more that an accepted one must be.
    """

    line: tuple[str, ...] = ()
    call: Callable[[], int] | None = None
    makes: tuple[str, ...] = ("r", "results")
    keeps: tuple[str, ...] = ()
    check: Check = nothing_wrong


Make = Callable[[Draw, Path], Input]


@dataclass(frozen=True)
class Kind:
    """share: inputs of this kind in a full run. torch: whether it needs torch, so that another server runs it."""

    name: str
    make: Make
    share: int
    torch: bool = False


@dataclass(frozen=True)
class Case:
    """An input that once did harm, by name."""

    kind: str
    name: str
    make: Callable[[Path], Input]
    torch: bool = False


KINDS: dict[str, Kind] = {}
CASES: dict[str, Case] = {}


def kind(name: str, share: int, torch: bool = False) -> Callable[[Make], Make]:
    """Registers a function that draws an input of this kind."""

    def register(make: Make) -> Make:
        KINDS[name] = Kind(name, make, share, torch)
        return make

    return register


def case(of: str, name: str, make: Callable[[Path], Input], torch: bool = False) -> None:
    """Registers an input that is always run."""
    assert name not in CASES, name
    CASES[name] = Case(of, name, make, torch)


def load_kinds() -> None:
    """Import every module of `inputs`, which registers what is in it."""
    for module in iter_modules(modules.__path__):
        import_module(f"{modules.__name__}.{module.name}")
