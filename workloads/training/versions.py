"""The versions a capture depends on."""

import platform
from importlib.metadata import version

PACKAGES = ("torch", "numpy", "scikit-learn")


def versions() -> dict[str, str]:
    """Version by package, Python's included."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
