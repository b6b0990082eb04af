"""Hundreds of plans on cores of several shapes, every product of small networks, and trainings: `make hil-core`."""

import csv
import json
import re
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from tests.command import Run
from tests.hil import core_updates
from tests.hil.core_table import rows
from workloads.op import Optimizer

pytestmark = pytest.mark.slow


def test_hundreds_of_plans_on_cores_of_several_shapes() -> None:
    found = [row for row, is_right in rows(240) if not is_right]
    assert not found


def agree(out: str) -> int:
    """How many products agree. Raises AssertionError where one does not, or a cycle or a wait differs."""
    told = " ".join(out.split())
    said = re.search(r"(\d+) of (\d+) products agree .*? (\d+) wrong; (\d+) products with other cycles", told)
    assert said is not None and said[1] == said[2]
    assert (said[3], said[4]) == ("0", "0")
    assert re.search(r"; 0 of \d+ of these counts are not the simulator's", told)
    return int(said[1])


def test_every_product_of_an_mlp(simulate: Run) -> None:
    work = ("--gemm", "32x64x128", "--gemm", "32x128x10", "--pattern", "2:8")
    code, out, err = simulate("--arch", "core", *work, "--hil", "core")
    assert code == 0, err
    assert agree(out) == 6


@pytest.mark.parametrize(("method", "pattern"), [("bdwp", "2:8"), ("bimask", "2:4")])
def test_every_product_of_a_small_resnet9(simulate: Run, tmp_path: Path, method: str, pattern: str) -> None:
    """Real values of a step, width 0.125 on digits of 8 x 8."""
    folder = str(tmp_path / "run")
    network = ("--model", "resnet9", "--width", "0.125", "--dataset", "digits", "--image", "8", "--batch", "32")
    how = ("--method", method, "--pattern", pattern, "--mixed-precision", "--steps", "12", "--capture-at", "12")
    code, _, err = simulate("train", *network, *how, "--out", folder)
    assert code == 0, err
    code, out, err = simulate("--arch", "core", "--workload", f"{folder}/step-000012.json", "--hil", "core")
    assert code == 0, err
    assert agree(out) >= 23


@pytest.mark.parametrize("optimizer", [Optimizer.MOMENTUM, Optimizer.ADAMW])
def test_updates_of_many_layers(optimizer: Optimizer) -> None:
    """A session ends at the first bit that differs."""
    found = list(core_updates.rows(optimizer, 150_000))
    assert len(found) > 1 and all(row["cycles"] == row["simulated_cycles"] for row in found)


MLP = ("--model", "mlp", "--dataset", "digits", "--batch", "32", "--steps", "200")
RESNET9 = (
    "--model",
    "resnet9",
    "--width",
    "0.125",
    "--dataset",
    "digits",
    "--image",
    "8",
    "--batch",
    "32",
    "--steps",
    "3",
)
SMALL = str(Path(__file__).parents[2] / "docs/examples/core-4x4.yaml")


@pytest.mark.parametrize("network", [MLP, RESNET9], ids=["mlp", "resnet9"])
def test_a_training_on_the_core_ends_with_golden_weights(
    simulate: Run, tmp_path: Path, network: tuple[str, ...]
) -> None:
    how = ("--method", "bdwp", "--pattern", "2:8", "--alone")
    for backend in (f"core:{SMALL}", "golden"):
        code, _, err = simulate("train", "--on", backend, *network, *how, "--out", str(tmp_path / backend[:4]))
        assert code == 0, err
    core, golden = (load_file(tmp_path / name / "weights.safetensors") for name in ("core", "gold"))
    assert core.keys() == golden.keys()
    assert all(core[name].tobytes() == golden[name].tobytes() for name in core)
    told = json.loads((tmp_path / "core/result.json").read_text())["backend"]
    assert (told["ops_with_other_cycles"], told["other_waits"]) == (0, 0)
    assert told["cycles"] == told["simulated_cycles"] > 0
    with (tmp_path / "core/backend.csv").open() as file:
        assert {row["phase"] for row in csv.DictReader(file)} == {"FF", "BP", "WU", "UP"}
