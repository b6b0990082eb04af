"""One input in a process of its own: forked from a process that has imported the program, bounded, measured."""

import gc
import os
import resource
import select
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from simulator.command.main import main
from workloads.errors import UserError

MIB = 1024 * 1024
CPU_SECONDS = 14  # after which an input is ended: more than any may take
WALL_SECONDS = 150.0  # many, for a machine that others work on too
ROOM = 2048 * MIB  # of addresses, beyond those that the server has
FILE_BYTES = 256 * MIB
SHOWN = 100_000  # bytes of what was printed, of its beginning and of its end


@dataclass(frozen=True)
class Ended:
    """How a child ended. code: its exit code, or minus the signal that ended it. grown: MiB beyond the server's."""

    code: int
    cpu: float
    grown: float
    out: str
    err: str
    waited: bool  # until the watchdog ended it


def run_child(work: Callable[[], int], folder: Path, beside: Path) -> Ended:
    """Run something in a folder, in a child. `beside` takes what it prints."""
    beside.mkdir(parents=True, exist_ok=True)
    held = _status("VmRSS")
    child = os.fork()
    if child == 0:
        _be_child(work, folder, beside)
    descriptor = os.pidfd_open(child)
    try:
        waited = not select.select([descriptor], [], [], WALL_SECONDS)[0]
    finally:
        os.close(descriptor)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what the child has started goes with it
    if waited:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    peak = beside / "peak"
    most = int(peak.read_text()) if peak.exists() else usage.ru_maxrss
    peak.unlink(missing_ok=True)
    said = [_said(beside / name) for name in ("out", "err")]
    grown = max(0.0, (most - held) / 1024)
    return Ended(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, grown, *said, waited)


def command(line: tuple[str, ...]) -> Callable[[], int]:
    """The program with these words on its command line."""

    def run() -> int:
        sys.argv = ["simulate", *line]
        try:
            main()
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else bool(stop.code)
        return 0

    return run


def called(function: Callable[[], int]) -> Callable[[], int]:
    """A function of the library, with a user's mistake said as the command says it."""

    def run() -> int:
        try:
            return function()
        except UserError as error:
            print(f"simulate: {' '.join(str(error).split())}", file=sys.stderr)
            return 2

    return run


def _be_child(work: Callable[[], int], folder: Path, beside: Path) -> None:
    """The child's whole life. Never returns."""
    code = 1
    try:
        os.setsid()
        for name, number in (("/dev/null", 0), (beside / "out", 1), (beside / "err", 2)):
            descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(descriptor, number)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        os.chdir(folder)
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        _bound()
        gc.unfreeze()
        code = work()
    except BaseException:  # the interpreter would say so too
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        _unbound()
        (beside / "peak").write_text(str(_status("VmHWM")))
        os._exit(code & 0xFF)


def _said(path: Path) -> str:
    content = path.read_bytes()
    content = content if len(content) <= 2 * SHOWN else content[:SHOWN] + b"..." + content[-SHOWN:]
    return content.decode("utf-8", "replace")


def _bound() -> None:
    room = _status("VmSize") * 1024 + ROOM
    for what, most in (
        (resource.RLIMIT_AS, room),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, resource.getrlimit(what)[1]))


def _unbound() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _status(name: str) -> int:
    """A size of this process, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])
