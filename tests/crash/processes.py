"""The command in processes of its own, as a shell would start it."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-c", "from simulator.command.start import main; main()")
PATIENCE = 300.0
POLL = 0.0005
AFTER = 0.02  # seconds after something has changed in the folder, at most, in which the kill comes
SAID = "simulate: "
NOTE = "simulate: note: "


@dataclass(frozen=True)
class Done:
    """How a command ended. code: minus the signal that ended it, where one did."""

    code: int
    out: str
    err: str

    @property
    def is_one_sentence(self) -> bool:
        """Whether it was refused as it should be."""
        lines = [line for line in self.err.splitlines() if not line.startswith(NOTE)]
        said = [line for line in lines if line.startswith(SAID)]
        return self.code == 2 and len(said) == 1 and "Traceback" not in self.err

    @property
    def is_fine(self) -> bool:
        """Whether it ran, or was refused as it should be."""
        return self.is_one_sentence or (self.code == 0 and "Traceback" not in self.err)

    def __str__(self) -> str:
        return f"exit code {self.code}; says {self.err.strip()[-400:]!a}"


def environment(more: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """This process's environment with some of it changed, or gone where that is None."""
    found = {**os.environ, "PYTHONPATH": str(ROOT), **(more or {})}
    return {name: value for name, value in found.items() if value is not None}


def started(folder: Path, line: Sequence[str]) -> "subprocess.Popen[bytes]":
    """The command in a process group of its own. What it prints goes to files beside the folder."""
    with (folder.parent / f"{folder.name}.said").open("ab") as said:
        return subprocess.Popen(
            [*PROGRAM, *line], cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
            env=environment(),
        )  # fmt: skip


def finished(
    folder: Path,
    line: Sequence[str],
    first: Callable[[], object] | None = None,
    more: Mapping[str, str | None] | None = None,
    before: Sequence[str] = (),
    out: int | None = None,
    err: int | None = None,
) -> Done:
    """The command, run to its end. first: done in the new process. before: words before the program's own."""
    done = subprocess.run(
        [*before, *PROGRAM, *line], cwd=folder, stdin=subprocess.DEVNULL, preexec_fn=first, env=environment(more),
        stdout=subprocess.PIPE if out is None else out, stderr=subprocess.PIPE if err is None else err,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    said = [(stream or b"").decode("utf-8", "replace") for stream in (done.stdout, done.stderr)]
    return Done(done.returncode, *said)


def seconds_of(folder: Path, line: Sequence[str]) -> float:
    """How long a command runs undisturbed. Raises RuntimeError where it fails."""
    began = time.monotonic()
    done = finished(folder, line)
    if done.code:
        raise RuntimeError(f"simulate {' '.join(line)}: {done}")
    return time.monotonic() - began


def killed(processes: Sequence["subprocess.Popen[bytes]"], folder: Path, luck: random.Random, seconds: float) -> bool:
    """Kill the first of some processes, with all that it started; whether its moment came before its end.

    Half of the moments are drawn from its whole life, half come just after something has changed in the folder.
    """
    first, began = processes[0], time.monotonic()
    until = began + luck.uniform(0.05, seconds)
    watched, changes = luck.random() < 0.5, luck.randint(1, 6)
    seen = _names(folder)
    while first.poll() is None:
        if watched and _names(folder) != seen:
            seen, changes = _names(folder), changes - 1
            if not changes:
                time.sleep(luck.uniform(0, AFTER))
                break
        elif not watched and time.monotonic() >= until:
            break
        time.sleep(POLL)
    alive = first.poll() is None
    if alive:
        os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    return alive and first.returncode == -signal.SIGKILL


def _names(folder: Path) -> frozenset[tuple[str, int]]:
    """What is in a folder and in those inside it, with sizes; what goes away meanwhile is left out."""
    found = set()
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                found.add((f"{place}/{name}", os.lstat(f"{place}/{name}").st_size))
            except OSError:
                continue
        found.add((place, 0))
    return frozenset(found)


def hidden(folder: Path) -> list[str]:
    """Names that a reader of the folder should never see: hidden ones, and halves."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return sorted(name for name in found if "/." in f"/{name}" or name.endswith(".partial"))
