"""A clock that only whole commands move: the CPU seconds of those that were run, for pytest-benchmark to read."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import final

LAUNCH = Path(__file__).with_name("launch.py")


@final
class Meter:
    """Runs commands and adds up what they use. Not frozen: it grows."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def seconds(self) -> float:
        """CPU seconds of all commands until now, with those of their children."""
        return self._seconds

    def run(self, *command: str | Path, folder: Path, code: int = 0, more: Mapping[str, str] | None = None) -> float:
        """The peak memory, in MiB, of a command that is run in a folder. `more`: variables of its environment."""
        line = [sys.executable, "-I", "-S", LAUNCH, *command]
        done = subprocess.run(line, cwd=folder, env={**os.environ, **(more or {})}, capture_output=True, text=True)
        found, seconds, kib = done.stdout.split()
        assert int(found) == code, f"{command}: exit code {found}\n{done.stderr}"
        self._seconds += float(seconds)
        return int(kib) / 1024
