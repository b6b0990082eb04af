"""Hundreds of plans on cores of several shapes, and every product of small networks: `make hil-core`."""

import re
from pathlib import Path

import pytest

from tests.command import Run
from tests.hil.core_table import rows

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
