"""`simulate trace` of modules that take inputs by name, return containers, and are built from a configuration."""

import json
from pathlib import Path

import pytest

from tests.command import Run
from workloads.stored import instantiate, read_template

MODULE = """
from typing import NamedTuple
import torch
from torch import nn

class Config:
    def __init__(self, width=16, layers=2, act="relu"):
        self.width, self.layers, self.act = width, layers, act

class Model(nn.Module):
    config_class = Config
    def __init__(self, config):
        super().__init__()
        self.words = nn.Embedding(50, config.width)
        self.blocks = nn.ModuleList(nn.Linear(config.width, config.width) for _ in range(config.layers))
        self.head = nn.Linear(config.width, 50)
        self.act = getattr(torch, config.act)
    def forward(self, input_ids=None, attention_mask=None, labels=None, states=None):
        x = self.words(input_ids)
        if attention_mask is not None:
            x = x * attention_mask[..., None]
        if states is not None:
            x = x + states["first"][0] + states["first"][1]
        scores = x @ x.mT
        for block in self.blocks:
            x = self.act(block(scores @ x))
        logits = self.head(x)
        loss = None
        if labels is not None:
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return {"loss": loss, "logits": logits, "hidden": (x, scores)}

def built(width, bias=True):
    return nn.Sequential(nn.Linear(16, width, bias=bias), nn.ReLU(), nn.Linear(width, 4)).to(torch.bfloat16)
"""
IDS = ("--input", "input_ids=2x6:50")


@pytest.fixture
def target(tmp_path: Path) -> str:
    (tmp_path / "named.py").write_text(MODULE)
    return "named:Model"


def products(path: Path) -> list[tuple[object, ...]]:
    found = json.loads(path.read_text())["ops"]
    return [(op["layer"], op["phase"], op["rows"], op["inner"], op["cols"]) for op in found if "left" in op]


def test_inputs_by_name_and_a_loss_of_its_own(simulate: Run, tmp_path: Path, target: str) -> None:
    more = ("--input", "attention_mask=2x6:ones", "--input", "labels=2x6:int64:50")
    code, out, _ = simulate("trace", target, *IDS, *more, "--out", "own.json")
    assert code == 0 and "loss: the module's own, loss" in out
    code, out, _ = simulate("trace", target, *IDS, "--out", "logits.json")
    assert code == 0 and "loss: cross-entropy on random targets, with logits 2x6x50" in out
    assert products(tmp_path / "own.json") == products(tmp_path / "logits.json")
    code, out, _ = simulate("trace", target, *IDS, "--output", "hidden.1", "--out", "part.json")
    assert code == 0 and "loss: cross-entropy on random targets, with hidden.1 2x6x6 as logits" in out
    assert [each[:2] for each in products(tmp_path / "part.json")][:1] == [("model", "FF")]


def test_inputs_in_containers(simulate: Run, tmp_path: Path, target: str) -> None:
    states = ("--input", "states.first.0=2x6x16", "--input", "states.first.1=2x6x16")
    assert simulate("trace", target, *IDS, *states, "--out", "s.json")[0] == 0
    dataset = json.loads((tmp_path / "s.json").read_text())["capture"]["dataset"]
    assert dataset == "random inputs input_ids=2x6:50 states.first.0=2x6x16 states.first.1=2x6x16"


def test_a_configuration(simulate: Run, tmp_path: Path, target: str) -> None:
    assert (
        simulate("trace", target, *IDS, "--config", "width=8,layers=3", "--config", "act=tanh", "--out", "c.json")[0]
        == 0
    )
    forward = [each for each in products(tmp_path / "c.json") if each[1] == "FF"]
    assert sum(str(layer).startswith("blocks") for layer, *_ in forward) == 3 and forward[-1][3] == 8
    code, out, _ = simulate(
        "trace", "named:built", "--config", "width=8,bias=False", "--input", "4x16", "--out", "b.json"
    )
    assert (
        code == 0 and "188 parameters" not in out and "164 parameters" in out
    )  # drawn in bfloat16, as its weights are


def test_sizes_left_open(simulate: Run, tmp_path: Path, target: str) -> None:
    code, out, _ = simulate("trace", target, *IDS, "--scale", "batch,sequence", "--out", "open.json")
    assert code == 0 and "recorded: simulate --workload open.json --batch N --sequence N" in out
    assert simulate("trace", target, "--input", "input_ids=5x11:50", "--shapes-only", "--out", "there.json")[0] == 0
    path = tmp_path / "open.json"
    scaled, there = (instantiate(read_template(tmp_path / f"{name}.json"), tmp_path / f"{name}.json", *at)
                     for name, at in (("open", (5, 11)), ("there", (None, None))))  # fmt: skip
    assert scaled.macs == there.macs and scaled.saved_elements == there.saved_elements
    assert [type(op) for op in scaled.ops] == [type(op) for op in there.ops]
    assert read_template(path).capture.loss is not None and scaled.ops[1].left.zeros is not None  # type: ignore[union-attr]
    code, out, _ = simulate(
        "--workload", "open.json", "--batch", "3", "--sequence", "40", "--pattern", "2:8", "--arch", "sat"
    )
    assert code == 0 and "batch 3, sequence 40" in out


def test_inference(simulate: Run, target: str) -> None:
    code, out, _ = simulate("trace", target, *IDS, "--mode", "inference", "--out", "i.json")
    assert code == 0 and "loss: none, the forward pass alone" in out
    code, out, _ = simulate("--workload", "i.json", "--arch", "sat")
    assert code == 0 and "named:Model inference step, batch 2, sequence 6" in " ".join(out.split())


MISTAKES = [
    ((*IDS, "--mode", "inference", "--loss", "squares"), "--loss: inference has no loss; leave it out"),
    (("--input", "input_ids=2x6:50:9"), "write sizes, such as"),
    (("--input", "input_ids=2x6:int65"), "unknown number format 'int65'; did you mean 'int64'?"),
    ((*IDS, *IDS), "'input_ids' is given twice"),
    ((*IDS, "--input", "input_ids.0=2x6"), "'input_ids' is one input here and holds others elsewhere"),
    ((*IDS, "--input", "words=2x6"), "cannot run on --input input_ids=2x6:50 --input words=2x6: TypeError"),
    ((*IDS, "--output", "logit"), "unknown part of the output of named:Model 'logit'; did you mean 'logits'?"),
    ((*IDS, "--config", "width"), "--config width: write NAME=VALUE"),
    ((*IDS, "--config", "width=2,width=3"), "--config width=3: width is given twice"),
    ((*IDS, "--config", "wide=2"), "named:Model: building it stopped: TypeError"),
    ((*IDS, "--scale", "batches"), "--scale batches: unknown size 'batches'; did you mean 'batch'?"),
    (
        ("--input", "2x6:50", "--scale", "sequence", "--mode", "train"),
        "--mode: unknown mode 'train'; did you mean 'training'?",
    ),
]


@pytest.mark.parametrize(("line", "sentence"), MISTAKES, ids=[" ".join(line) for line, _ in MISTAKES])
def test_mistakes(simulate: Run, tmp_path: Path, target: str, line: tuple[str, ...], sentence: str) -> None:
    code, _, err = simulate("trace", target, *line, "--out", "w.json")
    assert code == 2 and sentence in err and not (tmp_path / "w.json").exists()
