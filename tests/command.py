"""What running the command gives a test."""

from collections.abc import Callable

Run = Callable[..., tuple[int, str, str]]  # arguments to exit code, standard output, standard error
