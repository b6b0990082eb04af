"""Good files that are spoiled afterwards: small ones, made once a session by the program itself.

`python -m tests.fuzz.base FOLDER [torch]` makes them; so the program's compiled code is in its cache before the
servers start.
"""

import io
import json
import os
import shutil
import sys
from contextlib import redirect_stderr
from functools import cache
from pathlib import Path

from simulator.command.main import main
from workloads.files.reading import digest_of
from workloads.files.tensors import read_tensors, write_tensors
from workloads.shipped import shipped_path

SESSION = "SPARSEHIL_FUZZ_SESSION"  # the folder with them, in the environment
STEP = ("--gemm", "64x64x64", "--pattern", "2:8")
SWEEP = ("sweep", "--grid", "array.rows=8,16", "--pattern", "2:4", "--model", "resnet9", "--batch", "2", "--jobs", "1")
TRAIN = (
    "train", "--method", "bdwp", "--pattern", "2:8", "--model", "resnet9", "--dataset", "digits", "--steps", "2",
    "--width", "0.05", "--limit", "32", "--batch", "16", "--image", "16", "--capture-at", "1",
)  # fmt: skip
TOPOLOGY = (
    "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides, Sparsity,\n"
    "conv1,9,9,3,3,3,8,1,2:4,\nconv2,7,7,3,3,8,16,2,\nconv3,3,3,1,1,16,8,1,1:8,\n"
)
GEMMS = "Layer, M, N, K,\nfc1,32,16,8,\nfc2,64,10,16,\n"
MATRIX = (
    "%%MatrixMarket matrix coordinate real general\n% made by hand\n4 4 5\n1 1 2.5\n1 4 -1\n2 3 7\n3 2 1e-3\n4 4 1\n"
)
SPEC = (
    "model: resnet9\npattern: [2:4, '2:8;layer2.*=1:8']\nbatch: 2\nset:\n  array.rows: 8..16:8\n"
    "  dram.channels: [1]\ntie:\n  dram.capacity_gib: 16 * dram.channels\nwhere:\n  - array.rows * array.cols < 300\n"
)
LAYERS = ("layer1.conv", "layer1.bn", "layer1.relu")  # of the recorded step that is left of a shipped one


def session() -> Path:
    """The folder with the good files of this session."""
    return Path(os.environ[SESSION])


@cache
def good(name: str) -> bytes:
    """The content of one of them."""
    return (session() / name).read_bytes()


def copied(name: str, to: Path) -> Path:
    """A folder of them, copied."""
    return Path(shutil.copytree(session() / name, to))


def write_workload(path: Path, content: bytes) -> None:
    """A workload file made of the recorded one, with the samples that it names by their digest."""
    path.write_bytes(content)
    path.with_suffix(".safetensors").write_bytes(good("recorded.safetensors"))


def make(folder: Path) -> None:
    """What needs no torch: a result of a step and one of a product, a sweep, a recorded step with samples."""
    os.chdir(folder)
    _run(*STEP, "--out", "step")
    _run("--arch", "piuma", "--matrix", "rmat:4:4", "--out", "product")
    for machine in ("dense", "s4", "a100"):
        _run("--arch", machine, "--gemm", "64x64x64", "--mode", "inference", "--pattern", "2:4", "--out", machine)
    _run(*SWEEP, "--out", "sweep")
    shipped = shipped_path("resnet9")
    node = json.loads(shipped.read_text(encoding="utf-8"))
    node["ops"] = [op for op in node["ops"] if op["layer"] in LAYERS]
    node["kept_dense"] = []
    tensors, metadata = read_tensors(shipped.with_suffix(".safetensors"))
    mine = {name: each for name, each in tensors.items() if name.startswith(f"{LAYERS[0]}/")}
    write_tensors(mine, metadata, Path("recorded.safetensors"))
    node["samples"] = digest_of(Path("recorded.safetensors"))
    Path("recorded.json").write_text(json.dumps(node), encoding="utf-8")
    _run("--workload", "recorded.json", "--batch", "2", "--out", "recorded")


def make_trained(folder: Path) -> None:
    """A training run that has more steps to go, with a checkpoint."""
    os.chdir(folder)
    _run(*TRAIN, "--out", "run")
    (folder / "run" / "result.json").unlink()
    (folder / "run" / "weights.safetensors").unlink()
    path = folder / "run" / "run.json"
    node = json.loads(path.read_text(encoding="utf-8"))
    node["settings"] |= {"steps": 3, "capture_at": []}
    path.write_text(json.dumps(node, indent=1), encoding="utf-8")


def _run(*line: str) -> None:
    sys.argv = ["simulate", *line]
    said = io.StringIO()
    with redirect_stderr(said):
        try:
            main()
        except SystemExit as stop:
            if stop.code:
                raise RuntimeError(f"simulate {' '.join(line)} ended with {stop.code}: {said.getvalue()}") from None


if __name__ == "__main__":
    (make_trained if sys.argv[2:] == ["torch"] else make)(Path(sys.argv[1]))
