"""Training from the command line: what is written, and that a killed run ends with the same bits."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.numpy import load_file

from tests.command import Run
from workloads.registry import METHODS, names
from workloads.stored import instantiate, read_template
from workloads.training import run

TINY = ("--model", "resnet9", "--width", "0.1", "--image", "8", "--batch", "8", "--limit", "24")
SPARSE = (*TINY, "--pattern", "2:8")
SHORT = (*SPARSE, "--steps", "3")


def train(simulate: Run, *arguments: str) -> str:
    code, out, err = simulate("train", *arguments)
    assert (code, err) == (0, "")
    return out


def result(folder: Path) -> dict[str, Any]:
    node: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return node


def test_a_run_leaves_log_weights_and_result(simulate: Run, tmp_path: Path) -> None:
    out = train(simulate, *SPARSE, "--epochs", "2", "--out", "r")
    assert "step 1 of 6: loss " in out and "step 6 of 6: loss " in out
    lines = [line.split(",") for line in (tmp_path / "r/log.csv").read_text().splitlines()]
    assert ",".join(lines[0]).startswith("step,epoch,loss,accuracy,learning_rate,loss_scale,flips_forward,flips_back")
    assert [(int(line[0]), int(line[1])) for line in lines[1:]] == [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 2)]
    assert all(int(flips) > 0 for line in lines[1:] for flips in line[6:])
    found = result(tmp_path / "r")
    assert found["test_accuracy"] == found["test_right"] / found["test_examples"] and found["test_examples"] == 24
    assert f"test accuracy {100 * found['test_accuracy']:.2f} % ({found['test_right']} of 24) after 6 steps" in out
    assert (found["settings"]["learning_rate"], found["settings"]["optimizer"]) == (0.05, "momentum")
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == [
        "checkpoint-000006.safetensors",
        "checkpoint.json",
        "log.csv",
        "masks.safetensors",
        "result.json",
        "run.json",
        "weights.safetensors",
    ]
    weights, masks = (load_file(tmp_path / f"r/{name}.safetensors") for name in ("weights", "masks"))
    assert not [name for name in weights if "mask" in name]
    kept = masks["layer1.conv.ff"]
    assert ((weights["layer1.conv.weight"] != 0) == kept).all() and kept.mean() == 0.25
    assert weights["layer1.conv.weight"].shape == (16, 8, 3, 3) and "layer1.bn.running_mean" in weights


def test_it_learns(simulate: Run, tmp_path: Path) -> None:
    train(simulate, *TINY[:4], "--image", "8", "--pattern", "2:4", "--steps", "120", "--batch", "32", "--out", "r")
    losses = [float(line.split(",")[2]) for line in (tmp_path / "r/log.csv").read_text().splitlines()[1:]]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    assert result(tmp_path / "r")["test_accuracy"] > 0.5


def test_without_out_every_run_has_a_folder_of_its_own(simulate: Run, tmp_path: Path) -> None:
    for _ in range(2):
        train(simulate, *SHORT)
    names = [path.name for path in (tmp_path / "results").iterdir()]
    assert len(names) == 2 and all("-train-resnet9-bdwp-2_8" in name for name in names)


KILL = """
import os, signal, sys
from pathlib import Path
import workloads.training.checkpoint
from workloads.training.run_log import Log
place, count = sys.argv[1], int(sys.argv[2])
sys.argv = ["simulate", *sys.argv[3:]]

def killing(owner, name, after):
    real, calls = getattr(owner, name), [0]
    def wrapped(*arguments, **more):
        calls[0] += 1
        if calls[0] == count and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        value = real(*arguments, **more)
        if calls[0] == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return value
    setattr(owner, name, wrapped)

{"before a rename": lambda: killing(Path, "replace", False), "after a rename": lambda: killing(Path, "replace", True),
 "before removing": lambda: killing(Path, "unlink", False), "after a line": lambda: killing(Log, "add", True),
 "in the file": lambda: killing(workloads.training.checkpoint, "save_file", True)}[place]()
from simulator.command.start import main
main()
"""


@pytest.mark.parametrize(
    ("place", "count"),
    [  # the first renames are those of run.json and the log; every checkpoint has two; every file looks for leftovers
        ("before a rename", 3),  # no checkpoint yet
        ("before a rename", 5),  # tensors written, not named
        ("after a rename", 5),  # tensors named, the JSON still that of the checkpoint before
        ("before removing", 7),  # both checkpoints there
        ("after a line", 5),
        ("in the file", 2),
    ],
)
def test_a_killed_run_goes_on_to_the_same_bits(simulate: Run, tmp_path: Path, place: str, count: int) -> None:
    run = (*SPARSE, "--steps", "7", "--checkpoint-every", "2", "--mixed-precision", "--capture-at", "6")
    train(simulate, *run, "--out", "whole")
    command = [sys.executable, "-c", KILL, place, str(count), "train", *run, "--out", "cut"]
    killed = subprocess.run(
        command, cwd=tmp_path, capture_output=True, env={**os.environ, "OMP_WAIT_POLICY": "passive"}
    )
    assert killed.returncode == -9, killed.stderr
    assert not (tmp_path / "cut/result.json").exists()
    train(simulate, "--resume", "cut")
    names = [sorted(path.name for path in (tmp_path / folder).iterdir()) for folder in ("whole", "cut")]
    assert names[0] == names[1]
    for name in ("weights.safetensors", "log.csv", "step-000006.safetensors", "step-000006.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes(), name
    assert result(tmp_path / "whole")["test_right"] == result(tmp_path / "cut")["test_right"]


PATTERNS = {"srigl": ("fan-in 5",), "torch24": ("2:4",), "dense": ()}


@pytest.mark.parametrize("method", names(METHODS))
def test_every_method_goes_on_to_the_same_bits(
    simulate: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Stopped in the middle, without a kill; a method that remembers what no checkpoint holds fails here."""
    given = [part for pattern in PATTERNS.get(method, ("2:4",)) for part in ("--pattern", pattern)]
    run = (*TINY, "--method", method, *given, "--steps", "6", "--checkpoint-every", "3", "--optimizer", "adamw")
    train(simulate, *run, "--out", "whole")
    with monkeypatch.context() as patch:
        patch.setattr("workloads.training.run_log.Log.sync", _stop_at_second_call())
        code, _, err = simulate("train", *run, "--out", "cut")
        assert code == 130 and err.startswith("to go on: simulate train --resume cut\n")
    assert json.loads((tmp_path / "cut/checkpoint.json").read_text())["step"] == 3
    train(simulate, "--resume", "cut")
    for name in ("weights.safetensors", "log.csv"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes(), name


def _stop_at_second_call() -> Callable[[object], None]:
    calls: list[object] = []

    def sync(log: object) -> None:
        calls.append(log)
        if len(calls) == 2:
            raise KeyboardInterrupt

    return sync


def test_a_captured_step_holds_the_orders_of_its_masks(simulate: Run, tmp_path: Path) -> None:
    train(simulate, *TINY, "--method", "bimask", "--pattern", "2:8", "--steps", "2", "--capture-at", "2", "--out", "r")
    path = tmp_path / "r/step-000002.json"
    template = read_template(path)
    named = {op["right"]["permutation"] for op in template.ops if "permutation" in op.get("right", {})}
    assert named == set(template.orders) and "layer1.conv.weight.order" in named
    assert all(sorted(group) == list(range(len(group))) for order in template.orders.values() for group in order)
    assert instantiate(template, path).orders == template.orders


def test_a_seed_gives_the_same_bits_again_and_recording_changes_none(simulate: Run, tmp_path: Path) -> None:
    for name, more in (("a", ()), ("b", ()), ("c", ("--capture-at", "2")), ("d", ("--seed", "1"))):
        train(simulate, *SHORT, *more, "--out", name)
    bits = {name: (tmp_path / name / "weights.safetensors").read_bytes() for name in "abcd"}
    assert bits["a"] == bits["b"] == bits["c"] != bits["d"]


CHANGES = [
    ("--method", "dense"),
    ("--pattern", "layer1.conv=1:4"),
    ("--limit", "16"),
    ("--image", "16"),
    ("--width", "0.2"),
    ("--epochs", "2"),
    ("--batch", "12"),
    ("--lr", "0.01"),
    ("--schedule", "constant"),
    ("--optimizer", "adamw"),
    ("--weight-decay", "0.1"),
    ("--decay", "0.1"),
    ("--mixed-precision",),
    ("--seed", "5"),
]


@pytest.mark.parametrize("change", CHANGES, ids=[change[0] for change in CHANGES])
def test_an_option_changes_the_weights(simulate: Run, tmp_path: Path, change: tuple[str, ...]) -> None:
    plain = [*TINY, "--pattern", "2:8", "--epochs", "1", "--out", "plain"]
    changed = list(plain)
    if change[0] == "--method":
        del changed[changed.index("--pattern") : changed.index("--pattern") + 2]
    if change[0] in changed and change[0] != "--pattern":
        del changed[changed.index(change[0]) : changed.index(change[0]) + 2]
    train(simulate, *plain)
    train(simulate, *changed, *change, "--out", "changed")
    bits = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("plain", "changed")]
    assert bits[0] != bits[1]


def test_threads_are_those_asked_for(simulate: Run) -> None:
    train(simulate, *SHORT, "--threads", "2")
    assert torch.get_num_threads() == 2
    train(simulate, *SHORT)
    assert torch.get_num_threads() == 1


def test_a_text_model_trains_on_text(simulate: Run, tmp_path: Path) -> None:
    text = ("--model", "gpt2-small", "--width", "0.08", "--pattern", "2:8", "--batch", "2", "--steps", "1")
    monkey = pytest.MonkeyPatch()
    monkey.setattr(run, "tested_hits", lambda *_: (1, 2))  # a whole test of it takes minutes
    out = train(simulate, *text, "--sequence", "8", "--dataset", "text", "--capture-at", "1", "--out", "r")
    monkey.undo()
    assert "test accuracy 50.00 %" in out
    node = json.loads((tmp_path / "r/step-000001.json").read_text())
    assert (node["batch"], node["sequence"], node["model"]) == (2, 8, "gpt2-small at width 0.08")
    assert "bytes of licences and Python documentation" in node["capture"]["dataset"]


def test_a_captured_step_is_a_workload_with_measured_masks(simulate: Run, tmp_path: Path) -> None:
    out = train(simulate, *SHORT, "--mixed-precision", "--capture-at", "1", "--capture-at", "3", "--out", "r")
    assert "recorded: simulate --workload r/step-000003.json" in out
    node = json.loads((tmp_path / "r/step-000003.json").read_text())
    capture = node["capture"]
    assert (capture["step"], capture["masks"], capture["loss_scale"]) == (3, "measured", 2**14)
    assert (node["method"], node["pattern"], node["batch"]) == ("bdwp", "2:8", 8)
    zeros = {op["right"]["zeros"] for op in node["ops"] if op.get("right", {}).get("pattern", {}).get("n") == 2}
    assert zeros == {0.75}
    assert {path.name for path in (tmp_path / "r").glob("step-*")} == {
        f"step-00000{step}.{kind}" for step in (1, 3) for kind in ("json", "safetensors")
    }
    code, out, err = simulate("--workload", "r/step-000003.json", "--json", "--out", "s")
    assert (code, err) == (0, "")
    simulated = json.loads(out)
    assert (simulated["method"], simulated["pattern"], simulated["batch"]) == ("bdwp", "2:8", 8)
    assert {op["pattern"] for op in simulated["ops"]} == {"dense", "2:8"}
    code, _, err = simulate("--workload", "r/step-000003.json", "--batch", "16")
    assert code == 2 and "step-000003.json: --batch 16: is a step recorded at batch 8, and holds no other" in err


def test_a_loss_that_is_no_number_ends_the_run_with_its_step(simulate: Run, tmp_path: Path) -> None:
    code, _, err = simulate("train", *SPARSE, "--epochs", "9", "--lr", "1e30", "--out", "r")
    assert code == 2 and err.count("\n") == 1
    lines = len((tmp_path / "r/log.csv").read_text().splitlines())
    assert f"simulate: step {lines}: the loss is " in err and "a lower --lr than 1e+30 may help" in err


def test_on_a_terminal_there_is_a_bar(simulate: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    out = train(simulate, *SHORT)
    assert "3/3" in out and "loss " in out and "accuracy " in out and "step 1 of 3" not in out


def test_the_rate_falls_as_a_cosine_unless_constant(simulate: Run, tmp_path: Path) -> None:
    for name, more in (("cosine", ()), ("constant", ("--schedule", "constant"))):
        train(simulate, *SPARSE, "--steps", "4", *more, "--out", name)
    rates = {
        name: [float(line.split(",")[4]) for line in (tmp_path / name / "log.csv").read_text().splitlines()[1:]]
        for name in ("cosine", "constant")
    }
    assert rates["constant"] == [0.05] * 4
    assert rates["cosine"][0] == 0.05 and all(later < sooner for sooner, later in pairwise(rates["cosine"]))


def test_a_methods_field_is_kept_in_the_run_and_by_a_resumed_one(simulate: Run, tmp_path: Path) -> None:
    asked = (*SPARSE, "--method", "bimask", "--steps", "4")
    for name, more in (("plain", ()), ("whole", ("--set", "period=2", "--set", "candidates=7"))):
        train(simulate, *asked, *more, "--out", name)
    train(simulate, *asked, "--set", "period=2", "--set", "candidates=7", "--checkpoint-every", "2", "--out", "cut")
    settings = json.loads((tmp_path / "whole/run.json").read_text())["settings"]
    assert settings["method_fields"] == ["period=2", "candidates=7"]
    for name in ("result.json", "weights.safetensors", "checkpoint.json"):
        (tmp_path / "cut" / name).unlink()
    train(simulate, "--resume", "cut")
    weights = {name: (tmp_path / name / "weights.safetensors").read_bytes() for name in ("plain", "whole", "cut")}
    assert weights["cut"] == weights["whole"] != weights["plain"]


def test_a_batch_in_parts_has_one_update(simulate: Run, tmp_path: Path) -> None:
    for parts in ("1", "4"):
        train(simulate, *SPARSE, "--steps", "1", "--accumulate", parts, "--capture-at", "1", "--out", parts)
    steps = {parts: json.loads((tmp_path / parts / "step-000001.json").read_text())["ops"] for parts in ("1", "4")}
    products, updates = (
        {
            parts: [op for op in ops if ("left" in op) == matrix and (matrix or op["phase"] == "UP")]
            for parts, ops in steps.items()
        }
        for matrix in (True, False)
    )
    assert len(products["4"]) == 4 * len(products["1"])
    assert {op["images"] for op in products["4"] if "images" in op} == {2}
    assert updates["4"] == updates["1"]
