"""Poor places to run in: each command runs there, or says in one sentence why not."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.crash.kills import STEP, SWEEP, TRAIN
from tests.crash.processes import PATIENCE, ROOT, Done, environment, finished, started

NOBODY = 48_731  # a user that no machine knows
MEMORY = (250, 350, 500, 800, 1_500)  # MiB of addresses; with fewer, OpenBLAS speaks for itself
Tried = tuple[str, list[str]]
RESULT = (*STEP[:-2], "--pattern", "2:8", "--out", "r")
HOMES: dict[str, str | None] = {
    "HOME": None,
    "XDG_CACHE_HOME": None,
    "XDG_CONFIG_HOME": None,
    "NUMBA_CACHE_DIR": None,
    "MPLCONFIGDIR": None,
}
REPORT = ("report", "r", "--no-sensitivity", "--out", "p.html")
LISTED = ("list", "machines")


def places(place: Path, short: bool = False) -> Iterator[Tried]:
    """Everything here, or what takes a second."""
    yield from _pipes(place)
    yield from _streams(place)
    if short:
        return
    yield from _homes(place)
    yield from _locales(place)
    yield from _memory(place)
    yield from _interrupts(place)


def _new(place: Path, name: str) -> Path:
    folder = place / name
    folder.mkdir()
    return folder


def _fine(done: Done) -> list[str]:
    return [] if done.is_fine else [str(done)]


def _ran(done: Done) -> list[str]:
    return [] if done.code == 0 and "Traceback" not in done.err else [str(done)]


def _pipes(place: Path) -> Iterator[Tried]:
    """A reader that has gone, as `head -1` has."""
    folder = _new(place, "pipes")
    for line in (LISTED, ("--help",), ("show", "sat")):
        ours, theirs = os.pipe()
        os.close(ours)
        done = finished(folder, line, out=theirs)
        os.close(theirs)
        wrong = [] if done.code == 141 and not done.err else [str(done)]
        yield f"simulate {' '.join(line)} | (a reader that has gone)", wrong


def _streams(place: Path) -> Iterator[Tried]:
    folder = _new(place, "streams")
    for number, name in ((0, "input"), (1, "output"), (2, "error")):
        for line in (LISTED, ("--arch", "nowhere")):
            done = finished(folder, line, lambda number=number: os.close(number))
            wrong = [] if done.code in (0, 2) and "Traceback" not in done.err else [str(done)]
            if "simulate:" in done.out:
                wrong.append(f"the sentence is on standard output: {done}")
            yield f"simulate {' '.join(line)}, standard {name} closed", wrong


def _homes(place: Path) -> Iterator[Tried]:
    folder = _new(place, "homes")
    yield "a step without HOME", _ran(finished(folder, RESULT, more=HOMES))
    yield "a report without HOME", _ran(finished(folder, REPORT, more=HOMES))
    verilog = ("verilog", "--pattern", "2:4", "--rows", "1", "--cols", "1", "--format", "int8", "--out", "v")
    for home in (None, "/proc/nowhere"):
        done = finished(_new(place, f"verilog-{bool(home)}"), verilog, more={**HOMES, "HOME": home})
        yield f"Verilog with HOME={home}", _ran(done)
    nowhere: dict[str, str | None] = {**HOMES, "HOME": "/nonexistent", "TMPDIR": "/nonexistent"}
    yield (
        "a step with a HOME and a TMPDIR that are not there",
        _ran(finished(_new(place, "nowhere"), RESULT, more=nowhere)),
    )
    setpriv = shutil.which("setpriv")
    if setpriv is None or os.getuid() != 0:
        yield "a user without a name: left out, since only root can become one", []
        return
    folder = _new(place, "nobody")
    for above in (place, place.parent):
        above.chmod(0o755)
    os.chown(folder, NOBODY, NOBODY)
    nobody = (setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs")
    writes = subprocess.run([*nobody, "test", "-w", str(ROOT)], check=False).returncode == 0
    if (
        writes
        or subprocess.run(
            [*nobody, sys.executable, "-c", "import simulator"], env=environment(), check=False
        ).returncode
    ):
        yield "a user without a name: left out, since it can write the program, or cannot read it", []
        return
    temporary: dict[str, str | None] = {**HOMES, "TMPDIR": "/nonexistent"}
    for line in (LISTED, RESULT, REPORT, (*SWEEP, "--jobs", "1"), (*SWEEP, "--jobs", "2")):
        done = finished(folder, line, more=temporary, before=nobody)
        yield f"simulate {' '.join(line[:3])}: a user without a name that can write its folder alone", _ran(done)


def _locales(place: Path) -> Iterator[Tried]:
    folder = _new(place, "locales")
    (folder / "é.yaml").write_text("extends: sat\ntitle: é 日本\n", encoding="utf-8")
    for name, more in {
        "LC_ALL=C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        "no locale": {"LC_ALL": None, "LANG": None, "LC_CTYPE": None},
        "ASCII streams": {"PYTHONIOENCODING": "ascii"},
    }.items():
        done = finished(folder, ("--arch", "é.yaml", *STEP[:-1], f"r-{name}", "--pattern", "2:8"), more=more)
        yield f"a step with letters beyond ASCII, {name}", _ran(done)
        yield (
            f"a mistake with letters beyond ASCII, {name}",
            _fine(finished(folder, ("--arch", "日本.yaml", *STEP), more=more)),
        )


def _memory(place: Path) -> Iterator[Tried]:
    for size in MEMORY:
        for name, line in (
            ("a step", RESULT),
            ("a product", ("--arch", "piuma", "--matrix", "rmat:8:8", "--out", "r")),
        ):
            folder = _new(place, f"memory-{size}-{name[2:]}")
            done = finished(folder, line, _addresses(size))
            wrong = _fine(done)
            if done.code:
                wrong += [f"left behind: {path.name}" for path in folder.iterdir()]
            yield f"{name} in {size} MiB", wrong


def _addresses(size: int) -> Callable[[], object]:
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (size << 20, size << 20))


def _interrupts(place: Path) -> Iterator[Tried]:
    """Ctrl-C at several moments of a long command, once it is at work."""
    luck = random.Random(3)
    long = ("--model", "resnet50", "--pattern", "2:8", "--exact", "--out", "r")
    train = (*TRAIN, "--steps", "500", "--out", "t")
    for number, line in enumerate((long, (*SWEEP, "--jobs", "1"), (*SWEEP, "--jobs", "2"), train, long, train)):
        folder = _new(place, f"interrupt-{number}")
        process = started(folder, line)
        until = time.monotonic() + PATIENCE
        while not _at_work(process.pid, folder) and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(luck.uniform(0, 1))
        process.send_signal(signal.SIGINT)
        code = process.wait(PATIENCE)
        said = (folder.parent / f"{folder.name}.said").read_text(encoding="utf-8", errors="replace")
        right = code == 130 and "interrupted" in said.splitlines() and "Traceback" not in said
        yield f"Ctrl-C in simulate {' '.join(line[:3])}", [] if right else [f"exit code {code}: {said[-300:]!a}"]


def _at_work(process: int, folder: Path) -> bool:
    """Whether a command is past its own start: it has made a folder, or has loaded what it simulates with."""
    return any(folder.iterdir()) or "llvmlite" in Path(f"/proc/{process}/maps").read_text(encoding="utf-8")
