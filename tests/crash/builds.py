"""Two processes that compile one array at the same time, with an empty cache: both get it right."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.crash.processes import environment

PROGRAM = """
from rtl.in_process import InProcess
from rtl.selftest import tried
from tests.link.boards import small

outcomes = list(tried(InProcess(small())))
assert outcomes and all(each.passed for each in outcomes), outcomes
"""


def builds(place: Path) -> Iterator[tuple[str, list[str]]]:
    """Two at once, then one that finds what they made."""
    cache: dict[str, str | None] = {"XDG_CACHE_HOME": str(place / "cache")}
    command = [sys.executable, "-c", PROGRAM]
    both = [subprocess.Popen(command, env=environment(cache), stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=600)[1] for process in both]
    wrong = [text[-400:] for process, text in zip(both, said, strict=True) if process.returncode]
    yield "two builds of one array", wrong
    left = [path.name for path in (place / "cache").rglob("tmp*")]
    yield "what two builds leave", [f"left behind: {name}" for name in left]
    done = subprocess.run(command, env=environment(cache), capture_output=True, text=True, check=False)
    yield "an array that is in the cache", [done.stderr[-400:]] if done.returncode else []
