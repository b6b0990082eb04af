"""Other simulators on layers this one simulates: part of `make bench` once `make bench-peers` has installed them."""

import csv
import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dataflows.systolic.planner import Planner
from dataflows.systolic.weight_stationary import WeightStationary
from simulator.arch.machine import load_machine
from simulator.kernel import load_kernel
from simulator.runs import Runs
from tests.executed import execute
from workloads.op import MatrixOp, Phase
from workloads.shipped import load_shipped

PYTHON = Path(__file__).parents[2] / ".venv-peers/bin/python"
MEASURE = Path(__file__).with_name("measure_peer.py")
pytestmark = [
    pytest.mark.bench,
    pytest.mark.skipif(not PYTHON.exists(), reason="`make bench-peers` installs the other simulators"),
]


def forward_products() -> list[MatrixOp]:
    """ResNet-18 at 224 x 224, batch 1."""
    ops = load_shipped("resnet18", batch=1).ops
    return [op for op in ops if isinstance(op, MatrixOp) and op.phase is Phase.FF]


def ours(products: Sequence[MatrixOp]) -> tuple[float, list[int]]:
    """CPU seconds of planning and running on the `dense` machine, weight stationary, and cycles by layer."""
    workload = replace(load_shipped("resnet18", batch=1), ops=tuple(products))
    arch = load_machine("dense").spec
    load_kernel()
    began = time.process_time()
    runs = Runs()
    result = execute(Planner(arch, [WeightStationary()], runs).plan(workload), runs)
    return time.process_time() - began, result.ops["cycles"].tolist()


@pytest.mark.parametrize("peer", ["scalesim", "zigzag"])
def test_peer(peer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    products = forward_products()
    with (tmp_path / "layers.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "rows", "cols", "inner"])
        writer.writerows([op.layer.replace(".", "_"), op.rows, op.cols, op.inner] for op in products)
    command = [PYTHON, "-W", "ignore", MEASURE, peer, tmp_path / "layers.csv", tmp_path / "found.json"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    seconds, cycles = ours(products)
    same = ", the same in every layer" if found["cycles"] == cycles else ""
    with capsys.disabled():
        print(
            f"\nours: {seconds:.4f} CPU s, {sum(cycles):,} cycles; {peer}: {found['cpu_seconds']:.1f} CPU s, "
            f"{found['peak_mib']:,.0f} MiB, {sum(found['cycles']):,} cycles{same}; "
            f"{found['cpu_seconds'] / seconds:,.0f} times our CPU seconds"
        )
    if peer == "scalesim":
        assert found["cycles"] == cycles
