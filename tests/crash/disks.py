"""Full disks: every command that writes says so in one sentence and leaves nothing behind."""

import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.crash.kills import STEP, TRAIN
from tests.crash.processes import ROOT, Done, finished, hidden
from tests.fuzz.offered import offered

SMALL = "16k"
SIZES = (0, 300, 3_000, 20_000)  # bytes that a file may have
MODULE = "from torch import nn\n\n\ndef build_model():\n    return nn.Sequential(nn.Flatten(), nn.Linear(12, 10))\n"
AREAS = "pe,luts,fmax_mhz\nsparse,900,200\ndense,600,220\n"
ACCURACIES = (ROOT / "reports/results/study-accuracy/accuracy.csv").read_text(encoding="utf-8")
RESULT = (*STEP[:-2], "--pattern", "2:8", "--out", "r")


@dataclass(frozen=True)
class Writer:
    """A command that writes. first: a command that makes what it needs. keeps: what it may leave, though it fails:
    what was finished before. slow: left out of a short run.
    """

    line: tuple[str, ...]
    first: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    mounted: bool = False
    sizes: tuple[int, ...] = SIZES


# Every command that the program offers stands in one of these: one that writes cannot come without being tried.
WRITERS: dict[str, tuple[Writer, ...]] = {
    "": (
        Writer(RESULT),
        Writer((*RESULT, "--timeline", "t.pftrace")),
        Writer((*RESULT, "--dram-trace", "dram")),
        Writer(("--arch", "piuma", "--matrix", "rmat:4:4", "--out", "r")),
    ),
    "report": (
        Writer(("report", "r", "--no-sensitivity", "--out", "p.html"), RESULT),
        Writer(("report", "r", "--no-sensitivity", "--out", "p.html", "--figures", "f"), RESULT),
    ),
    "sweep": (
        Writer(
            ("sweep", "--model", "resnet9", "--pattern", "2:8", "--batch", "2", "--jobs", "1", "--out", "s"),
            keeps=("s",),
        ),
        Writer(
            ("sweep", "--report", "--out", "s"),
            ("sweep", "--model", "resnet9", "--pattern", "2:8", "--batch", "2", "--jobs", "1", "--out", "s"),
        ),
    ),
    "train": (Writer((*TRAIN, "--steps", "2", "--out", "t"), keeps=("t",)),),
    "trace": (
        Writer(("trace", "mine:build_model", "--input", "2x3x2x2", "--out", "w.json"), files=(("mine.py", MODULE),)),
    ),
    "study iso-area": (
        Writer(
            ("study", "iso-area", "a.csv", "--model", "resnet9", "--batch", "2", "--out", "o"),
            files=(("a.csv", AREAS),),
        ),
    ),
    "study pareto": (
        Writer(
            ("study", "pareto", "a.csv", "--model", "resnet9", "--batch", "2", "--out", "o"),
            files=(("a.csv", ACCURACIES),),
        ),
    ),
    "study byte-tolerance": (
        Writer(("study", "byte-tolerance", "--model", "resnet9", "--share", "0.01", "--out", "o")),
    ),
    "sensitivity": (
        Writer(
            (
                "sensitivity",
                "--gemm",
                "64x64x64",
                "--pattern",
                "2:8",
                "--samples",
                "2",
                "--search",
                "0",
                "--jobs",
                "1",
                "--out",
                "o",
            ),
        ),
    ),
    "study sparsity": (
        Writer(("study", "sparsity", "--model", "resnet9", "--batch", "4", "--out", "o"), sizes=(3_000,)),
    ),
    "verilog": (Writer(("verilog", "--rows", "2", "--cols", "2", "--format", "int8", "--out", "v"), mounted=True),),
    "bitstream": (
        Writer(("bitstream", "--board", "vcu1525", "--rows", "2", "--cols", "2", "--out", "b"), mounted=True),
    ),
    "validate": (Writer(("validate", "sat", "--out", "v"), sizes=(3_000,)),),  # 20 seconds each
}
READERS = {"list": ("list",), "show": ("show", "sat")}
# Minutes each; they write by the functions that the others write by.
DEAR = {"area", "study accuracy", "study smash", "board"}


def strangers() -> set[str]:
    """Commands that nobody has said of whether they write."""
    return set(offered()) ^ {*WRITERS, *READERS, *DEAR}


def full_disks(place: Path, commands: tuple[str, ...] | None = None) -> Iterator[tuple[str, list[str]]]:
    """Every writer with little room. Yields what was tried, and what was wrong."""
    for name, writers in WRITERS.items():
        if commands is not None and name not in commands:
            continue
        for number, writer in enumerate(writers):
            folder = _prepared(writer, place / f"{name.replace(' ', '-') or 'step'}-{number}")
            done = finished(folder, writer.line, more={"PYTHONPATH": f"{ROOT}:{folder}"})
            yield f"simulate {' '.join(writer.line)}, with room", [] if done.code == 0 else [str(done)]
            if writer.mounted:
                yield _on_a_small_disk(writer, place / f"{name}-small")
                continue
            for size in writer.sizes:
                said = f"simulate {' '.join(writer.line)}, files of {size} bytes"
                folder = _prepared(writer, place / f"{name.replace(' ', '-') or 'step'}-{number}-{size}")
                yield said, _tried(writer, folder, _room(size))


def _on_a_small_disk(writer: Writer, folder: Path) -> tuple[str, list[str]]:
    """The command where there is hardly any room, if this machine lets us have such a place."""
    said = f"simulate {' '.join(writer.line)}, a file system of {SMALL}"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mounting, capture_output=True, check=False).returncode:
        return f"{said}: left out, since no file system can be mounted here", []
    try:
        return said, _tried(writer, folder, lambda: None)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _prepared(writer: Writer, folder: Path) -> Path:
    folder.mkdir()
    for file, text in writer.files:
        (folder / file).write_text(text, encoding="utf-8")
    if writer.first and (done := finished(folder, writer.first)).code:
        raise RuntimeError(f"simulate {' '.join(writer.first)}: {done}")
    return folder


def _tried(writer: Writer, folder: Path, first: Callable[[], object]) -> list[str]:
    before = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    done = finished(folder, writer.line, first, {"PYTHONPATH": f"{ROOT}:{folder}"})
    wrong = [] if done.is_fine else [str(done)]
    after = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    if done.code:
        wrong += [
            f"left behind: {name}" for name in sorted(after - before) if name.partition("/")[0] not in writer.keeps
        ]
        wrong += [f"gone: {name}" for name in sorted(before - after)]
    return wrong + [
        f"left hidden: {name}" for name in hidden(folder) if name not in before and "__pycache__" not in name
    ]


def _room(size: int) -> Callable[[], object]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def full_streams(place: Path, commands: tuple[str, ...] | None = None) -> Iterator[tuple[str, list[str]]]:
    """Every command with a full standard output, and with a full standard error."""
    for name in (*WRITERS, *READERS):
        if commands is not None and name not in commands:
            continue
        writer = WRITERS[name][0] if name in WRITERS else Writer(READERS[name])
        for stream in ("out", "err"):
            folder = _prepared(writer, place / f"{name.replace(' ', '-') or 'step'}-std{stream}")
            yield f"simulate {' '.join(writer.line)}, standard {stream} full", _streamed(writer, folder, stream)


def _streamed(writer: Writer, folder: Path, stream: str) -> list[str]:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        out, err = (full, None) if stream == "out" else (None, full)
        done = finished(folder, writer.line, None, {"PYTHONPATH": f"{ROOT}:{folder}"}, out=out, err=err)
    finally:
        os.close(full)
    if stream == "out":
        return _one_sentence(done)
    return [] if done.code in (0, 2) else [str(done)]


def _one_sentence(done: Done) -> list[str]:
    return [] if done.is_one_sentence else [f"standard output is full: {done}"]
