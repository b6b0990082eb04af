"""What running the command gives a test."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., tuple[int, str, str]]  # arguments to exit code, standard output, standard error
WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None
sys.argv = ["simulate", *sys.argv[2:]]
from simulator.command.main import main
main()
"""


def without(package: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`simulate ARGUMENTS` in a process of its own where a package is not installed."""
    command = [sys.executable, "-c", WITHOUT, package, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
