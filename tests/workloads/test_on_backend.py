"""`simulate train --on NAME`: a run whose products and updates happen on a backend, and the same run in torch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from simulator.hil.golden_session import GoldenBackend, half_bits, kept
from tests.command import Run
from workloads.op import Optimizer
from workloads.pattern import parse_pattern
from workloads.stored import instantiate, read_template
from workloads.training.backend import OPS, Begin, UpdateRule, layers_of
from workloads.training.layouts import matrix
from workloads.training.meter import Meter
from workloads.training.run import start_run
from workloads.training.settings import Settings
from workloads.workload import Workload

MLP = ("--model", "mlp", "--pattern", "2:8", "--batch", "32")
CONVS = ("--model", "resnet9", "--width", "0.1", "--image", "8", "--batch", "8", "--limit", "16", "--pattern", "2:8")
BITS = ("weights.safetensors", "masks.safetensors", "log.csv", "backend.csv")


def train(simulate: Run, *arguments: str) -> str:
    code, out, err = simulate("train", *arguments)
    assert (code, err) == (0, "")
    return out


def log(folder: Path) -> dict[str, list[float]]:
    lines = [line.split(",") for line in (folder / "log.csv").read_text().splitlines()]
    return {name: [float(line[place]) for line in lines[1:]] for place, name in enumerate(lines[0])}


def result(folder: Path) -> dict[str, Any]:
    node: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return node


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an MLP's run on the golden backend."""
    folder = tmp_path_factory.mktemp("learned") / "r"
    settings = Settings("mlp", "bdwp", ("2:8",), dataset="digits", batch=32, steps=150, on="golden")
    start_run(settings, folder, lambda *_: None)
    return folder


def test_it_learns_as_torch_does(learned: Path) -> None:
    found, columns = result(learned), log(learned)
    assert found["test_accuracy"] > 0.9 and abs(found["test_accuracy"] - found["torch"]["test_accuracy"]) < 0.03
    ours, torch = (np.array(columns[name]) for name in ("loss", "torch_loss"))
    assert ours[-10:].mean() < 0.2 * ours[:10].mean()
    assert 0 < np.abs(ours[:5] - torch[:5]).max() < 2e-3  # the order of additions alone
    assert np.abs(ours - torch).max() < 0.1


def test_it_leaves_what_other_runs_leave_and_what_the_backend_tells(learned: Path) -> None:
    assert sorted(path.name for path in learned.iterdir()) == [
        *("backend.csv", "checkpoint-000150.safetensors", "checkpoint.json", "log.csv", "masks.safetensors"),
        *("result.json", "run.json", "step-000001.json", "weights.safetensors"),
    ]
    assert (learned / "backend.csv").read_text().splitlines() == [
        *("layer,phase,calls", "hidden,FF,1", "fc,FF,1", "fc,BP,1", "fc,WU,1", "hidden,WU,1"),
        *("hidden,UP,1", "hidden.bias,UP,1", "fc,UP,1", "fc.bias,UP,1"),
    ]
    found, columns = result(learned), log(learned)
    assert found["backend"] == {"name": "golden", "steps_left_out": 0, "cycles": 0, "counted_after_step": 0}
    assert (found["settings"]["on"], found["settings"]["loss_scale"]) == ("golden", 1024)
    assert set(columns["loss_scale"]) == {1024} and set(columns["left_out"]) == {0} == set(columns["cycles"])
    path = learned / "step-000001.json"
    step = instantiate(read_template(path), path)
    layers = layers_of(step)
    assert [str(layer.forward_pattern) for layer in layers.values()] == ["2:8", "dense"]
    assert (step.capture.masks, step.method, step.batch) == ("measured", "bdwp", 32)


def test_the_masks_that_are_left_are_those_that_the_backend_multiplied_with(learned: Path) -> None:
    whole = load_file(learned / "checkpoint-000150.safetensors")["weight/hidden.weight"]
    mask = load_file(learned / "masks.safetensors")["hidden.ff"]
    copy = kept(half_bits(matrix(whole.astype(np.float16))), parse_pattern("2:8"), 1)
    there = np.zeros((64, 128), np.bool_)
    np.put_along_axis(there, copy.positions, True, axis=0)
    assert (there == mask.T).all() and mask.mean() == 0.25
    assert ((load_file(learned / "weights.safetensors")["hidden.weight"] != 0) == mask).all()


@pytest.mark.parametrize(
    "run", [(*MLP, "--steps", "8"), (*CONVS, "--steps", "2", "--optimizer", "adamw")], ids=["mlp", "convolutions"]
)
def test_golden_and_reference_are_bit_equal(simulate: Run, tmp_path: Path, run: tuple[str, ...]) -> None:
    for name in ("golden", "reference"):
        train(simulate, "--on", name, *run, "--alone", "--out", name)
    for name in ("weights.safetensors", "masks.safetensors", "log.csv"):
        assert (tmp_path / "golden" / name).read_bytes() == (tmp_path / "reference" / name).read_bytes(), name
    assert result(tmp_path / "golden")["test_right"] == result(tmp_path / "reference")["test_right"]
    assert list(log(tmp_path / "golden"))[-2:] == ["left_out", "cycles"] and "torch" not in result(tmp_path / "golden")


@pytest.mark.parametrize("optimizer", ["momentum", "adamw"])
def test_a_run_goes_on_to_the_same_bits(
    simulate: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    """That of torch beside it too: its weights and states are in the checkpoint."""
    run = (*MLP, "--on", "golden", "--steps", "7", "--checkpoint-every", "3", "--optimizer", optimizer)
    train(simulate, *run, "--out", "whole")
    with monkeypatch.context() as patch:
        patch.setattr("workloads.training.run_log.Log.sync", _stop_at_second_call())
        code, _, err = simulate("train", *run, "--out", "cut")
        assert code == 130 and err.startswith("to go on: simulate train --resume cut\n")
    assert json.loads((tmp_path / "cut/checkpoint.json").read_text())["step"] == 3
    train(simulate, "--resume", "cut")
    for name in BITS:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes(), name
    mine, other = (load_file(tmp_path / folder / "checkpoint-000007.safetensors") for folder in ("whole", "cut"))
    assert mine.keys() == other.keys() and all((mine[name] == other[name]).all() for name in mine)
    state = "momentum" if optimizer == "momentum" else "second_moment"
    assert {f"state/fc.weight/{state}", f"torch/state/fc.weight/{state}", "torch/weight/hidden.bias"} <= mine.keys()


def _stop_at_second_call() -> Any:
    calls: list[object] = []

    def sync(log: object) -> None:
        calls.append(log)
        if len(calls) == 2:
            raise KeyboardInterrupt

    return sync


def test_a_step_whose_gradients_overflow_is_left_out(simulate: Run, tmp_path: Path) -> None:
    """At 2^24 gradients of the logits are no FP16 numbers any more."""
    out = train(simulate, *MLP, "--on", "golden", "--steps", "3", "--loss-scale", str(2**24), "--out", "r")
    assert "on golden: 3 steps were left out after gradients that overflowed" in out
    columns = log(tmp_path / "r")
    assert columns["left_out"] == [1, 1, 1] and columns["flips_forward"] == [0, 0, 0]
    assert result(tmp_path / "r")["backend"]["steps_left_out"] == 3
    assert "UP" not in (tmp_path / "r/backend.csv").read_text()
    start = train(simulate, *MLP, "--on", "golden", "--steps", "1", "--lr", "0", "--alone", "--out", "s")
    assert "no step was left out" in start
    kept_weights, same = (load_file(tmp_path / f"{name}/weights.safetensors") for name in "rs")
    assert all((kept_weights[name] == same[name]).all() for name in same)


@pytest.mark.parametrize("method", ["dense", "sdwp"])
def test_other_methods_that_can(simulate: Run, tmp_path: Path, method: str) -> None:
    pattern = () if method == "dense" else ("--pattern", "2:8,fc=1:4")
    run = ("--model", "mlp", "--method", method, *pattern, "--batch", "16", "--steps", "4", "--alone")
    for name in ("golden", "reference"):
        train(simulate, "--on", name, *run, "--out", name)
    losses = [log(tmp_path / name)["loss"] for name in ("golden", "reference")]
    assert losses[0] == losses[1]
    path = tmp_path / "golden/step-000001.json"
    layers = layers_of(instantiate(read_template(path), path))
    patterns = [(str(each.forward_pattern), str(each.backward_pattern)) for each in layers.values()]
    assert patterns == [("dense", "None"), ("dense", "1:4" if pattern else "dense")]


def test_a_meter_tells_of_the_last_step_alone(learned: Path) -> None:
    path = learned / "step-000001.json"
    step = instantiate(read_template(path), path)
    session = GoldenBackend().begin(_begin(step))
    for _ in range(2):
        session.forward("fc", np.ones((2, 128), np.float16))
    meter = Meter(session)
    session.forward("fc", np.ones((2, 128), np.float16))
    session.input_gradient("fc", np.ones((2, 10), np.float16))
    meter.advance()
    assert meter.rows == [{"layer": "fc", "phase": "FF", "calls": 1}, {"layer": "fc", "phase": "BP", "calls": 1}]
    meter.advance()
    assert meter.rows == [] and meter.cycles == 0 and session.figures()[OPS] != []


def _begin(step: Workload) -> Begin:
    weights = {
        layer.parameter: np.ones((layer.forward.inner, layer.outputs), np.float32) for layer in layers_of(step).values()
    }
    return Begin(step, weights, {}, UpdateRule(Optimizer.MOMENTUM, 1.0))
