"""The command on real input: what it prints, what it writes, and that every option changes something."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from simulator import load_result
from simulator.card import Number
from simulator.program import STALLS
from tests.command import Run
from workloads.provenance import Provenance

MAIN = ("--arch", "sat", "--pattern", "2:8", "--model", "resnet18")


def as_json(simulate: Run, *arguments: str) -> dict[str, Any]:
    code, out, err = simulate(*arguments, "--json", "--out", "r", "--force")
    assert (code, err) == (0, "")
    node: dict[str, Any] = json.loads(out)
    return node


def test_json_of_the_main_job(simulate: Run, tmp_path: Path) -> None:
    node = as_json(simulate, *MAIN)
    assert {key: node[key] for key in ("schema", "arch", "pattern", "model", "method")} == {
        "schema": 2,
        "arch": "sat",
        "pattern": "2:8",
        "model": "resnet18",
        "method": "bdwp",
    }
    assert list(node["totals"]) == ["FF", "BP", "WU", "UP", "step"]
    step = node["totals"]["step"]
    assert step["cycles"] == sum(op["cycles"] for op in node["ops"]) == load_result(tmp_path / "r").cycles
    assert step["seconds"] == pytest.approx(step["cycles"] / 200e6)
    assert 1 < step["speedup_over_dense"] < node["ceiling"] < 2
    for op in node["ops"]:
        assert op["busy_cycles"] + sum(op["stall_cycles"].values()) == op["cycles"], op["layer"]
        assert set(op["stall_cycles"]) <= set(STALLS)
    sparse = [op for op in node["ops"] if op["pattern"] == "2:8"]
    assert len(sparse) == 2 * 19
    assert all(op["macs_skipped"] == 3 * op["macs_useful"] for op in sparse)
    assert all(op["bytes"]["dram.read"] > 0 for op in sparse)
    assert node["assumed"]["array.rows"]["value"] == 32
    assert all(entry["source"] for entry in node["numbers"].values())


def test_the_table_of_the_main_job(simulate: Run, tmp_path: Path) -> None:
    code, out, _ = simulate(*MAIN)
    assert code == 0
    for word in (
        "FF",
        "BP",
        "WU",
        "UP",
        "step",
        "best dense",
        "fill and drain",
        "weight gradients (WU), dense",
        "Assumed",
    ):
        assert word in out
    folders = list((tmp_path / "results").iterdir())
    assert len(folders) == 1
    result = load_result(folders[0])
    assert f"{result.cycles:,}" in out
    assert simulate(*MAIN)[0] == 0
    assert len(list((tmp_path / "results").iterdir())) == 2


def test_exact_gives_the_same_rows(simulate: Run, tmp_path: Path) -> None:
    for name, more in (("fast", ()), ("exact", ("--exact",))):
        assert simulate("--pattern", "2:8", "--model", "resnet9", "--batch", "4", *more, "--out", name)[0] == 0
    fast, exact = load_result(tmp_path / "fast"), load_result(tmp_path / "exact")
    pd.testing.assert_frame_equal(fast.ops, exact.ops)
    pd.testing.assert_frame_equal(fast.actions, exact.actions)
    assert fast.card.exact is False and exact.card.exact is True
    costs = [result.card.cost for result in (fast, exact)]
    assert costs[0].commands_evaluated < costs[1].commands_evaluated
    assert all(cost.simulation_cpu_seconds > 0 for cost in costs)


MANY_ROWS = ("--gemm", "300x40x64", "--gemm", "70x64x40")
MANY_WEIGHTS = ("--gemm", "8x512x512")  # where weights outweigh the rest, their making and packing matter
SPARSE = ("--pattern", "2:8")

CHANGES = [
    (MANY_ROWS, ("--pattern", "2:8"), ("--pattern", "2:4")),
    (MANY_ROWS, SPARSE, (*SPARSE, "--pattern", "gemm0=1:8")),
    (MANY_ROWS, SPARSE, ("--method", "dense")),
    (MANY_ROWS, SPARSE, (*SPARSE, "--optimizer", "adam")),
    (MANY_ROWS, SPARSE, (*SPARSE, "--mode", "inference")),
    (MANY_ROWS, SPARSE, (*SPARSE, "--dataflow", "weight-stationary")),
    (MANY_ROWS, SPARSE, (*SPARSE, "--arch", "dense")),
    (MANY_ROWS, SPARSE, (*SPARSE, "--set", "array.rows=16")),
    (MANY_ROWS, SPARSE, (*SPARSE, "--set", "schedule.interleave=false")),
    (MANY_ROWS, SPARSE, (*SPARSE, "--set", "schedule.offline=false")),
    (MANY_WEIGHTS, SPARSE, (*SPARSE, "--set", "schedule.pregenerate=false")),
    (MANY_WEIGHTS, SPARSE, (*SPARSE, "--set", "sore.tile_buffer=false")),
]


@pytest.mark.parametrize(("work", "plain", "changed"), CHANGES, ids=[" ".join(each[2]) for each in CHANGES])
def test_every_option_changes_the_result(
    simulate: Run, work: tuple[str, ...], plain: tuple[str, ...], changed: tuple[str, ...]
) -> None:
    assert as_json(simulate, *work, *plain)["totals"] != as_json(simulate, *work, *changed)["totals"]


def test_batch_and_sequence_and_input_gradient_change_the_result(simulate: Run) -> None:
    bert = ("--pattern", "2:8", "--model", "bert-base")
    one = as_json(simulate, *bert)["totals"]["step"]["cycles"]
    assert as_json(simulate, *bert, "--batch", "4")["totals"]["step"]["cycles"] < one
    assert as_json(simulate, *bert, "--sequence", "64")["totals"]["step"]["cycles"] < one
    resnet = ("--model", "resnet9", "--batch", "2")
    without = as_json(simulate, *resnet)["totals"]["BP"]["cycles"]
    assert as_json(simulate, *resnet, "--input-gradient")["totals"]["BP"]["cycles"] > without


def test_nothing_heavy_is_imported_by_the_main_job(tmp_path: Path) -> None:
    script = (
        "import sys; sys.argv = ['simulate', '--model', 'resnet9', '--pattern', '2:8', '--out', sys.argv[1]]\n"
        "from simulator.command.main import main\n"
        "try: main()\n"
        "except SystemExit as stop: assert not stop.code\n"
        "heavy = {'torch', 'sklearn', 'matplotlib', 'amaranth', 'numba', 'pandas', 'scipy', 'simpy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "r")], check=True, capture_output=True)


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['simulate', '--help']\n"
        "from simulator.command.main import main\n"
        "try: main()\n"
        "except SystemExit as stop: assert not stop.code\n"
        "heavy = {'numpy', 'pandas', 'numba', 'pyarrow', 'scipy', 'simpy', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_list(simulate: Run) -> None:
    assert {"dense", "sat", "piuma"} <= set(simulate("list", "machines")[1].split())
    assert {"smash-v1", "smash-v3", "heap-merge"} <= set(simulate("list", "kernels")[1].split())
    assert "bimask decay=0.0002 period=100 candidates=100 seed=0" in simulate("list", "methods")[1].splitlines()
    code, out, _ = simulate("list")
    assert code == 0
    for name in ("weight-stationary", "bdwp", "gpt2-small", "resnet18"):
        assert name in out


def test_topology_files(simulate: Run, tmp_path: Path) -> None:
    (tmp_path / "conv.csv").write_text(
        "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides, Sparsity,\n"
        "conv1, 20, 20, 3, 3, 8, 16, 1, 1:4,\n\nconv2, 18, 18, 3, 3, 16, 16, 2,\n"
    )
    node = as_json(simulate, "--topology", "conv.csv", "--arch", "dense")
    by_name = {(op["layer"], op["phase"]): op for op in node["ops"]}
    assert (by_name["conv1", "FF"]["rows"], by_name["conv1", "FF"]["inner"]) == (18 * 18, 72)
    assert by_name["conv2", "FF"]["rows"] == 9 * 9  # ceil((18 - 3) / 2) + 1
    assert by_name["conv1", "FF"]["pattern"] == "1:4"
    assert (node["pattern"], node["method"]) == ("stated", "stated")
    assert node["totals"]["FF"]["speedup_over_dense"] > 1
    over = as_json(simulate, "--topology", "conv.csv", "--arch", "dense", "--pattern", "dense")
    assert over["totals"]["step"]["speedup_over_dense"] == 1
    assert ("conv1", "BP") not in by_name and ("conv2", "BP") in by_name
    (tmp_path / "gemm.csv").write_text("Layer, M, N, K,\nfc, 10, 20, 30,\n")
    gemm = as_json(simulate, "--topology", "gemm.csv")["ops"][0]
    assert (gemm["rows"], gemm["cols"], gemm["inner"]) == (10, 20, 30)


def test_a_variant_of_a_machine_is_one_file(simulate: Run, tmp_path: Path) -> None:
    (tmp_path / "big.yaml").write_text(
        "extends: sat\narray:\n  rows: {value: 64, provenance: assumed, source: what if}\n"
    )
    assert simulate(*MANY_ROWS, *SPARSE, "--arch", "./big.yaml", "--out", "a")[0] == 0
    assert simulate(*MANY_ROWS, *SPARSE, "--set", "array.rows=64", "--out", "b")[0] == 0
    mine, other = load_result(tmp_path / "a"), load_result(tmp_path / "b")
    pd.testing.assert_frame_equal(mine.ops, other.ops)
    assert mine.card.numbers["array.rows"] == Number(64, Provenance.ASSUMED, "what if")
    assert other.card.numbers["array.rows"].provenance is Provenance.SET
    assert "array.rows" not in other.card.assumed
    assert mine.card.not_modelled == other.card.not_modelled  # a variant of SAT leaves out what SAT does
