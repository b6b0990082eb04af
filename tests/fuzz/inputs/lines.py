"""Command lines: every option of every command, with values that may be anything."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.base import MATRIX, SPEC, TOPOLOGY, good, write_workload
from tests.fuzz.kinds import Draw, Input, case, kind
from tests.fuzz.offered import offered
from tests.fuzz.spoil import mostly, odd_numbers, odd_texts, words

# These take minutes where a line of theirs is right, so theirs always have something wrong at the end.
DEAR = ("area", "bitstream", "board", "study", "validate", "verilog")
TORCH = ("train", "trace")
GOOD: Mapping[str, tuple[str, ...]] = {
    "--arch": ("sat", "dense", "s4", "a100", "m.yaml"), "--pattern": ("2:4", "2:8", "dense", "*=1:4"),
    "--model": ("resnet9",),
    "--gemm": ("8x8x8", "64x10x16"), "--topology": ("t.csv",), "--onnx": ("t.csv",), "--workload": ("recorded.json",),
    "--matrix": ("rmat:3:2", "a.mtx"),
    "--kernel": ("smash-v3", "inner"), "--method": ("bdwp", "dense", "srste"), "--batch": ("1", "2"),
    "--sequence": ("1", "8"),
    "--optimizer": ("sgd", "adam"), "--mode": ("training", "inference"), "--dataflow": ("weight-stationary",),
    "--set": ("array.rows=8", "clock_mhz=100"), "--option": ("fill=0.5",), "--limit": ("points=9", "ops=1"),
    "--out": ("r", "r/x"),
    "--timeline": ("t.pftrace",), "--dram-trace": ("dram",), "--dram-op": ("gemm0/FF",), "--grid": ("array.rows=8,16",),
    "--where": ("batch > 0",), "--tie": ("array.cols=array.rows",), "--jobs": ("1",), "--objective": ("min:cycles",),
    "--figures": ("f",), "--search": ("2",),
}  # fmt: skip
WORK = ("--gemm", "--model", "--onnx", "--topology", "--matrix", "--workload")
KEPT = ("--hil", "--cluster", "--threads", "--steps", "--epochs")  # what they start is not measured here
OUTPUTS = ("--out", "--timeline", "--dram-trace", "--figures")
MAKES = ("r", "results", "t.pftrace", "dram", "f", "p.html", "comparison.html")


@kind("command line", share=400)
def command_line(draw: Draw, folder: Path) -> Input:
    return _drawn(draw, folder, [name for name in _commands() if name not in TORCH])


@kind("training line", share=80, torch=True)
def training_line(draw: Draw, folder: Path) -> Input:
    return _drawn(draw, folder, list(TORCH))


@cache
def _commands() -> dict[str, Any]:
    return offered()


def _drawn(draw: Draw, folder: Path, names: list[str]) -> Input:
    for name, text in {"t.csv": TOPOLOGY, "m.yaml": "extends: sat\n", "a.mtx": MATRIX, "s.yaml": SPEC}.items():
        (folder / name).write_text(text, encoding="utf-8")
    write_workload(folder / "recorded.json", good("recorded.json"))
    name = mostly(
        draw,
        st.sampled_from([each for each in names if each in ("", "list", "show", "sweep")] or names),
        st.sampled_from(names),
        4,
    )
    name = "" if "" in names and draw(st.booleans()) else name
    options = {opt: each for each in _commands()[name].params for opt in each.opts if opt.startswith("--")}
    line: list[str] = [*name.split()]
    known = st.sampled_from(sorted(set(options) & set(GOOD) - set(WORK)) or ["--help"])
    for _ in range(draw(st.integers(0, 4))):
        option = mostly(draw, known, st.one_of(st.sampled_from(sorted(options) or ["--help"]), words(odd_texts())), 6)
        if option in KEPT:
            continue
        line.append(option)
        if option not in options or not getattr(options[option], "is_flag", False):
            usual = st.sampled_from(GOOD.get(option, ("1", "x", "r")))
            value = mostly(draw, usual, words(st.one_of(odd_numbers(), odd_texts())), 8)[:60_000]
            line.append(_inside(value) if option in OUTPUTS else value)
    if draw(st.integers(0, 9)) == 0:
        line.insert(draw(st.integers(0, len(line))), draw(words(odd_texts())))
    if not name:
        work = mostly(draw, st.just("--gemm"), st.sampled_from(WORK), 3)
        line += [work, draw(st.sampled_from(GOOD[work]))]
    if name == "sweep":
        line += ["--jobs", "1", "--out", "r", "--batch", "1", "--model", "resnet9"]
    if name.partition(" ")[0] in DEAR or name in TORCH:
        line += ["--nothing"]
    return Input(tuple(line), makes=(*MAKES, *_outputs(line)))


def _inside(value: str) -> str:
    """A name that leads nowhere out of the folder: the real ones of the machine are not written to."""
    return value.replace("..", "_").lstrip("/")


def _outputs(line: Sequence[str]) -> list[str]:
    """What a line says it makes: the first part of each path."""
    pairs = [word.partition("=")[::2] for word in line] + list(pairwise(line))
    return [value.removeprefix("./").partition("/")[0] for option, value in pairs if option in OUTPUTS and value]


def _beside_a_pipe(line: tuple[str, ...]) -> Callable[[Path], Input]:
    def make(folder: Path) -> Input:
        (folder / "file").write_text("mine", encoding="utf-8")
        os.mkfifo(folder / "pipe")  # whoever opens it waits for its other end
        return Input(line, makes=(*MAKES, *_outputs(line)))

    return make


STEP = ("--gemm", "8x8x8", "--pattern", "2:4")
for said, line in {
    "a batch of 320 digits": ("--model", "resnet9", "--pattern", "2:8", "--batch", "9" * 320),
    "a batch of 1e15": ("--model", "resnet9", "--pattern", "2:8", "--batch", str(10**15)),
    "a sequence of 1e15": ("--model", "gpt2-small", "--pattern", "2:8", "--sequence", str(10**15)),
    "an out of 300 letters": (*STEP, "--out", "x" * 300),
    "an out of bytes": (*STEP, "--out", "\udcff"),
    "an out with an escape sequence": (*STEP, "--out", "no/\x1b[2J"),
    "an out beneath a file": (*STEP, "--out", "file/r"),
    "an out that is a file": (*STEP, "--out", "file", "--force"),
    "an out that is a pipe": (*STEP, "--out", "pipe", "--force"),
    "an out that is here": (*STEP, "--out", ".", "--force"),
    "an out that is empty": (*STEP, "--out", ""),
    "an empty machine": ("--arch", "", *STEP),
    "an empty model": ("--model", "", "--pattern", "2:8"),
    "a timeline that is a pipe": (*STEP, "--timeline", "pipe", "--out", "r", "--force"),
    "a machine that is a pipe": ("--arch", "./pipe", *STEP),
    "a workload that is a pipe": ("--workload", "pipe", *STEP[2:]),
    "a topology that is a pipe": ("--topology", "pipe", *STEP[2:]),
    "a matrix that is a pipe": ("--arch", "piuma", "--matrix", "pipe"),
    "a result that is a pipe": ("report", "pipe"),
    "a sweep that is a pipe": ("sweep", "pipe"),
    "a dump of an op that is not": (*STEP, "--dram-trace", "dram", "--dram-op", "\udcff/FF"),
    "a hundred thousand letters": ("--gemm", "9" * 100_000),
    "30,000 words": ("--pattern", "2:8") * 15_000,
    "hardware nowhere": ("--model", "resnet9", "--pattern", "2:8", "--hil", "/dev/nowhere"),
    "hardware of no kind": ("--model", "resnet9", "--pattern", "2:8", "--hil", "nokind://x"),
    "hardware that is a file": ("--model", "resnet9", "--pattern", "2:8", "--hil", "/dev/null"),
    "tiles of 1e15": ("--model", "resnet9", "--pattern", "2:8", "--hil", "/dev/null", "--hil-tiles", str(10**15)),
    "a cluster nowhere": ("sweep", "--model", "resnet9", "--pattern", "2:8", "--cluster", "nokind://x"),
}.items():
    case("command line", f"line: {said}", _beside_a_pipe(line))
