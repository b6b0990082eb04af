"""The versions a capture depends on."""

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("torch", "numpy", "scikit-learn")


def versions() -> dict[str, str]:
    """Version by package, Python's included; a package that is not installed is left out."""
    found = {name: _version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **{name: text for name, text in found.items() if text}}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
