"""Other simulators on layers this one simulates: part of `make bench` once `make bench-peers` has installed them."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dataflows.systolic.planner import Planner
from dataflows.systolic.weight_stationary import WeightStationary
from simulator.arch.machine import load_machine
from simulator.kernel import load_kernel
from simulator.runs import Runs
from tests.bench.meter import Meter
from tests.executed import execute
from workloads.op import MatrixOp, Phase
from workloads.shipped import load_shipped

PYTHON = Path(__file__).parents[2] / ".venv-peers/bin/python"
MEASURE = Path(__file__).with_name("measure_peer.py")
METER = Meter()
pytestmark = pytest.mark.bench


def forward_products() -> list[MatrixOp]:
    """ResNet-18 at 224 x 224, batch 1."""
    ops = load_shipped("resnet18", batch=1).ops
    return [op for op in ops if isinstance(op, MatrixOp) and op.phase is Phase.FF]


def write_layers(path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "rows", "cols", "inner"])
        writer.writerows([op.layer.replace(".", "_"), op.rows, op.cols, op.inner] for op in forward_products())


@pytest.fixture
def ours() -> Callable[[], list[int]]:
    """Planning and running on the `dense` machine, weight stationary: cycles by layer."""
    workload = replace(load_shipped("resnet18", batch=1), ops=tuple(forward_products()))
    arch = load_machine("dense").spec
    load_kernel()

    def run() -> list[int]:
        runs = Runs()
        result = execute(Planner(arch, [WeightStationary()], runs).plan(workload), runs)
        return [int(each) for each in result.ops["cycles"]]

    return run


def test_forward_products_of_resnet18(benchmark: Any, ours: Callable[[], list[int]]) -> None:
    cycles = benchmark(ours)
    benchmark.extra_info["note"] = f"{sum(cycles):,} cycles"


@pytest.mark.skipif(not PYTHON.exists(), reason="`make bench-peers` installs the other simulators")
@pytest.mark.benchmark(timer=METER.seconds)
@pytest.mark.parametrize("peer", ["scalesim", "zigzag"])
def test_forward_products_of_resnet18_by(
    benchmark: Any, peer: str, ours: Callable[[], list[int]], tmp_path: Path
) -> None:
    layers, out = tmp_path / "layers.csv", tmp_path / "found.json"
    write_layers(layers)
    line = (PYTHON, "-W", "ignore", MEASURE, peer, layers, out)
    benchmark.extra_info["peak_mib"] = benchmark.pedantic(lambda: METER.run(*line, folder=tmp_path))
    cycles = json.loads(out.read_text(encoding="utf-8"))
    benchmark.extra_info["note"] = f"{sum(cycles):,} cycles"
    if peer == "scalesim":
        assert cycles == ours()
