"""A module that was written for a library which is not what it was."""

from collections import ThisWasNeverHere  # noqa: F401
