"""What `make same` runs: commands in a folder of their own, and which of the files they leave are read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MODELS = ("resnet9", "resnet18", "resnet50", "resnet152", "vgg19", "vit-s", "vit-b", "bert-base", "bert-large",
          "gpt2-small")  # fmt: skip
SMALL = ("--batch", "8", "--no-capacity")
MACHINES = {
    "sat": ("--arch", "sat", "--pattern", "2:8"),
    "dense": ("--arch", "dense", "--pattern", "2:8", *SMALL),
    "s4": ("--arch", "s4", "--pattern", "4:64", "--mode", "inference", *SMALL),
    "t4": ("--arch", "t4", "--pattern", "dense", "--mode", "inference", *SMALL),
    "a100": ("--arch", "a100", "--pattern", "2:4", *SMALL),
    "h100": ("--arch", "h100", "--pattern", "2:4", *SMALL),
}
STEP = ("--gemm", "256x64x128", "--pattern", "2:8")
ARRAY = ("--set", "rtl.rows=2", "--set", "rtl.cols=2", "--set", "rtl.format=int8")  # compiled in seconds
TILES = ("--pattern", "2:8", "--model", "resnet18", "--batch", "4", *ARRAY, "--hil", "sim", "--hil-tiles", "4")
SWEEP_FILE = (
    "model: resnet9\npattern: [2:4, '2:8;layer2.*=1:8']\nbatch: 8\n"
    "set:\n  array.rows: 8..24:8\n  dram.channels: [1, 2]\n"
    "tie:\n  dram.capacity_gib: 16 * dram.channels\nwhere:\n  - array.rows * array.cols <= 512\n"
)
CONV = (
    "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n"
    "conv,9,9,3,3,3,8,1,\n"
)
MODULE = """from torch import nn

def build_model():
    return nn.Sequential(nn.Conv2d(3, 8, 7, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
"""
FILES = {"my_layers.csv": CONV, "my_sat.yaml": "extends: sat\n", "mypkg/mymodule.py": MODULE, "my.yaml": SWEEP_FILE}
WRONG = (
    "--model resnet81", "--model resnet18 --pattern 9:8", "--modle resnet18", "--arch satt --model resnet18",
    "--model resnet18 --method bdpw", "--model resnet18 --set array.rwos=64", "lits", "sweep --model resnet81",
    "report nowhere", "train --method bdwp", "study pareto none.csv", "--arch piuma --matrix rmat:4:4 --pattern 2:8",
    "--arch t4 --dataflow weight-stationary --model resnet18", "--matrix rmat:4:4", "validate satt",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Commands run one after the other in a folder that holds `files`.

    `shows`: what standard output is, "json", "text" or "nothing" that matters. `rows`: a sweep's folder, whose rows are
    read. `page`: a page, whose lines are read. `digests`: a folder whose files are read.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    shows: str = "json"
    rows: str = ""
    page: str = ""
    digests: str = ""
    files: dict[str, str] = field(default_factory=lambda: FILES)


def cases(readme: str) -> list[Case]:
    """Every case; `readme` is the text whose commands are run too."""
    every = [*_steps(), *_sweeps(), *_pages(), *_wrong(), *_readme(readme)]
    every.append(Case("verilog", (("verilog", "--pattern", "2:4", "--rows", "2", "--cols", "2", "--out", "v"),), "text",
                      digests="v"))  # fmt: skip
    every.append(Case("validate", (("validate", "--json"),)))
    return every


def _steps() -> Iterator[Case]:
    for machine, options in MACHINES.items():
        for model in MODELS:
            yield Case(f"{machine} {model}", ((*options, "--model", model, "--json"),))
    for matrix, kernel in (("rmat:8:8", "smash-v3"), ("banded:256:4", "outer")):
        line = ("--arch", "piuma", "--matrix", matrix, "--kernel", kernel, "--json")
        yield Case(f"piuma {matrix} {kernel}", (line,))
    yield Case("piuma step", (("--arch", "piuma", *STEP, "--json"),))
    yield Case("exact resnet9", (("--model", "resnet9", "--batch", "4", "--pattern", "2:8", "--exact", "--json"),))
    yield Case("exact gemm", (("--gemm", "300x40x64", "--gemm", "70x64x40", "--pattern", "2:4", "--exact", "--json"),))
    yield Case("hil", ((*TILES, "--json"),))


def _sweeps() -> Iterator[Case]:
    grid = ("sweep", "--grid", "array.rows=8,16", "--pattern", "2:4,2:8", "--model", "resnet9", "--batch", "8")
    s4 = ("sweep", "--arch", "s4", "--pattern", "4:64,8:64", "--model", "resnet9", "--batch", "4")
    yield Case("sweep grid", ((*grid, "--jobs", "1", "--out", "s"),), "text", rows="s")
    yield Case("sweep file", (("sweep", "my.yaml", "--jobs", "2", "--out", "s"),), "text", rows="s")
    yield Case("sweep dask", ((*grid, "--cluster", "local", "--jobs", "2", "--out", "s"),), "text", rows="s")
    yield Case("sweep s4", ((*s4, "--jobs", "1", "--out", "s"),), "text", rows="s")


def _pages() -> Iterator[Case]:
    bare = ("report", "r", "--no-sensitivity", "--out", "p.html")
    kinds = {
        "sat": ("--model", "resnet9", "--batch", "8", "--pattern", "2:8"),
        "s4": (*MACHINES["s4"], "--model", "resnet9"),
        "t4": (*MACHINES["t4"], "--model", "resnet9"),
        "piuma step": ("--arch", "piuma", *STEP),
        "piuma product": ("--arch", "piuma", "--matrix", "rmat:8:8"),
        "hardware": TILES,
    }
    for name, step in kinds.items():
        yield Case(f"page of {name}", ((*step, "--out", "r"), bare), "nothing", page="p.html")
    again = ("--gemm", "300x64x64", "--pattern", "2:8", "--out", "r")
    yield Case("page with sensitivity", (again, ("report", "r", "--out", "p.html")), "nothing", page="p.html")
    two = tuple((*STEP, "--set", f"array.rows={rows}", "--out", name) for name, rows in (("a", 16), ("b", 32)))
    yield Case("page of two", (*two, ("report", "a", "b", "--out", "p.html")), "nothing", page="p.html")
    sweep = ("sweep", "my.yaml", "--jobs", "1", "--report", "--out", "s")
    yield Case("page of a sweep", (sweep,), "nothing", page="s/sweep.html")


def _wrong() -> Iterator[Case]:
    for line in WRONG:
        yield Case(f"wrong: {line}", (tuple(line.split()),), "text")


def _readme(readme: str) -> Iterator[Case]:
    for line in readme.splitlines():
        if line.startswith("simulate "):
            words = tuple(word.strip("'") for word in re.findall(r"'[^']*'|\S+", line.split("#")[0])[1:])
            before = (("--gemm", "64x64x64", "--out", "results/my-run"),) if "results/my-run" in words else ()
            yield Case(f"README: {line.split('#')[0].strip()}", (*before, words), "text")


def captures(tree: Path) -> list[Path]:
    """The recorded steps that ship, whose bytes are compared as they are."""
    return sorted((tree / "workloads" / "captures").iterdir())
