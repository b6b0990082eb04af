"""Machines for N:M sparse training: descriptions, programs, and runs. Nothing heavy is imported until it is used."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.machine import load_arch
    from simulator.result import load as load_result

__all__ = ["load_arch", "load_result"]

_HOMES = {"load_arch": ("simulator.machine", "load_arch"), "load_result": ("simulator.result", "load")}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'simulator' has no attribute '{name}'")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
