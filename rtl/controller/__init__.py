"""Load, run, read: the array behind a stream of bytes (`rtl.protocol`)."""

from rtl.controller.controller import NONE, Controller

__all__ = ["NONE", "Controller"]
