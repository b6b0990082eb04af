"""`simulate train` with a module and examples of the user's own."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.command import Run
from workloads.op import MatrixOp
from workloads.stored import instantiate, read_template

MINE = """
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

def build():
    return nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 32), nn.Dropout(0.1), nn.Linear(32, 3))

def points(count, seed):
    x = torch.randn(count, 20, generator=torch.Generator().manual_seed(seed))
    return TensorDataset(x, x[:, :3].argmax(1))

def loader(): return DataLoader(points(96, 0), batch_size=16), points(32, 1)
def alone(): return points(40, 0)
fixed = points(40, 0)

class Noisy(Dataset):
    def __len__(self): return 40
    def __getitem__(self, number): return torch.randn(20), number % 3

def noisy(): return Noisy()
def values(): return TensorDataset(torch.randn(40, 20), torch.randn(40, 3))

class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.attention = nn.Embedding(50, 32), nn.MultiheadAttention(32, 4, batch_first=True)
        self.last = nn.Linear(32, 50)
    def forward(self, input_ids, labels):
        x = self.table(input_ids)
        logits = self.last(self.attention(x, x, x, need_weights=False)[0])
        return {"loss": nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten()), "logits": logits}

class Words(Dataset):
    def __len__(self): return 24
    def __getitem__(self, number):
        ids = (torch.arange(12) + number) % 50
        return {"input_ids": ids, "labels": ids}

def words(): return Words()

class Stream(IterableDataset):
    def __iter__(self): return iter(())

def stream(): return Stream()
def triples(): return TensorDataset(torch.randn(40, 20), torch.zeros(40), torch.zeros(40))
def wrong(): return TensorDataset(torch.randn(40, 20), torch.zeros(40, 7, dtype=torch.long))
def narrow(): return TensorDataset(torch.randn(40, 19), torch.zeros(40, dtype=torch.long))
def drawn(): return DataLoader(points(40, 0), sampler=torch.utils.data.WeightedRandomSampler([1.0] * 40, 40))

class Ordered(Dataset):
    def __len__(self): return 6
    def __getitem__(self, number):
        print("example", number)
        return torch.randn(20), 0

def in_order(): return DataLoader(Ordered(), batch_size=2)
def shuffled(): return DataLoader(Ordered(), batch_size=2, shuffle=True)

class Gives(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.inner, self.how = build(), how
    def forward(self, x, labels=None): return self.how(self.inner(x).square().mean())

class Named(Dataset):
    def __len__(self): return 40
    def __getitem__(self, number): return {"x": torch.randn(20)}

class Answer:
    def __init__(self, loss): self.loss = loss

def named(): return Named()
def a_scalar(): return Gives(lambda loss: loss)
def an_object(): return Gives(Answer)
def a_tuple(): return Gives(lambda loss: {"loss": loss, "more": [loss]})
def no_loss(): return Gives(lambda loss: {"hidden": loss})

def broken(): raise ValueError("no files here")
"""
OWN = ("--model", "mine:build", "--data", "mine:loader", "--pattern", "2:8")


@pytest.fixture(autouse=True)
def _mine(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)


def train(simulate: Run, *arguments: str) -> str:
    code, out, err = simulate("train", *arguments)
    assert (code, err) == (0, "")
    return out


def test_a_module_and_a_loader_of_ones_own(simulate: Run, tmp_path: Path) -> None:
    out = train(simulate, *OWN, "--epochs", "10", "--lr", "0.1", "--capture-at", "2", "--out", "r")
    assert "step 60 of 60" in out  # the loader's batches of 16
    found = json.loads((tmp_path / "r/result.json").read_text())
    assert found["sparse_layers"] == ["2"] and found["data"] == "mine:loader, 96 examples and 32 to test on"
    assert found["test_examples"] == 32 and found["test_accuracy"] > 0.5
    weights = load_file(tmp_path / "r/weights.safetensors")
    masks = load_file(tmp_path / "r/masks.safetensors")
    assert sorted(weights) == ["0.bias", "0.weight", "2.bias", "2.weight", "4.bias", "4.weight"]
    assert torch.equal(weights["2.weight"] != 0, masks["2.ff"]) and masks["2.ff"].float().mean() == 0.25
    assert masks["2.bp"].shape == (32, 32)
    path = tmp_path / "r/step-000002.json"
    workload = instantiate(read_template(path), path)
    assert (workload.model, workload.batch, workload.method) == ("mine:build", 16, "bdwp")
    assert [str(op.right.pattern) for op in workload.ops if isinstance(op, MatrixOp) and op.phase == "FF"] == [
        "dense",
        "2:8",
        "dense",
    ]


def test_a_run_goes_on_to_the_bit_with_chance_in_examples_and_module(simulate: Run, tmp_path: Path) -> None:
    noisy = ("--model", "mine:build", "--data", "mine:noisy", "--pattern", "2:4", "--batch", "8", "--steps", "9")
    for name in ("whole", "cut"):
        train(simulate, *noisy, "--checkpoint-every", "4", "--out", name)
    (tmp_path / "cut/result.json").unlink()
    node = json.loads((tmp_path / "cut/run.json").read_text())
    for name in ("cut/log.csv", "whole/log.csv"):
        assert len((tmp_path / name).read_text().splitlines()) == 10
    assert node["settings"]["data"] == "mine:noisy"
    train(simulate, "--resume", "cut")
    bits = [(tmp_path / f"{name}/weights.safetensors").read_bytes() for name in ("whole", "cut")]
    assert bits[0] == bits[1]


def test_a_run_that_goes_on_needs_no_file_that_it_began_with(simulate: Run, tmp_path: Path) -> None:
    train(simulate, *OWN, "--steps", "2", "--out", "first")
    for name in ("whole", "cut"):
        more = ("--weights", "first/weights.safetensors", "--steps", "5", "--checkpoint-every", "2", "--out", name)
        train(simulate, *OWN, *more)
    (tmp_path / "cut/result.json").unlink()
    (tmp_path / "first/weights.safetensors").unlink()
    train(simulate, "--resume", "cut")
    bits = [(tmp_path / f"{name}/weights.safetensors").read_bytes() for name in ("whole", "cut")]
    assert bits[0] == bits[1]


def test_batches_of_names_and_a_loss_of_the_modules_own(simulate: Run, tmp_path: Path) -> None:
    words = (
        "--model",
        "mine:Tokens",
        "--data",
        "mine:words",
        "--pattern",
        "attention.in_proj=2:8",
        "--optimizer",
        "adamw",
    )
    out = train(
        simulate, *words, "--batch", "6", "--accumulate", "2", "--steps", "8", "--capture-at", "3", "--out", "r"
    )
    assert "there was nothing with classes to test on" in out and "accuracy" in out
    found = json.loads((tmp_path / "r/result.json").read_text())
    assert found["sparse_layers"] == ["attention.in_proj"]
    step = instantiate(read_template(tmp_path / "r/step-000003.json"), tmp_path / "r/step-000003.json")
    assert step.kept_dense == ("attention", "last")  # by the layers of products, as in any recorded step
    losses = [float(line.split(",")[2]) for line in (tmp_path / "r/log.csv").read_text().splitlines()[1:]]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("data", ["alone", "fixed", "values"])
def test_data_of_every_kind(simulate: Run, tmp_path: Path, data: str) -> None:
    train(
        simulate, *OWN[:2], "--data", f"mine:{data}", "--pattern", "2:4", "--batch", "10", "--epochs", "1", "--out", "r"
    )
    assert json.loads((tmp_path / "r/result.json").read_text())["steps"] == 4


@pytest.mark.parametrize(("data", "same"), [("in_order", True), ("shuffled", False)])
def test_the_order_is_that_of_the_loader(simulate: Run, data: str, same: bool) -> None:
    own = (*OWN[:2], "--data", f"mine:{data}", "--pattern", "2:4", "--epochs", "3", "--out", "r")
    numbers = [int(line.split()[1]) for line in train(simulate, *own).splitlines() if line.startswith("example")]
    epochs = [numbers[start : start + 6] for start in (2, 8, 14)]  # the first batch is looked at once before
    assert all(sorted(epoch) == [0, 1, 2, 3, 4, 5] for epoch in epochs)
    assert all(epoch == [0, 1, 2, 3, 4, 5] for epoch in epochs) == same


@pytest.mark.parametrize("model", ["a_scalar", "an_object", "a_tuple"])
def test_a_loss_of_its_own_in_every_form(simulate: Run, model: str) -> None:
    out = train(simulate, "--model", f"mine:{model}", "--data", "mine:named", "--pattern", "2:4", "--steps", "2",
                "--batch", "4", "--out", "r")  # fmt: skip
    assert "accuracy" not in out.splitlines()[0] and "loss 0." in out


def test_a_run_starts_from_a_file(simulate: Run, tmp_path: Path) -> None:
    train(simulate, *OWN, "--steps", "4", "--out", "first")
    train(simulate, *OWN, "--steps", "1", "--lr", "0", "--weights", "first/weights.safetensors", "--out", "second")
    first, second = (load_file(tmp_path / f"{name}/weights.safetensors") for name in ("first", "second"))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    checkpoint = next(path.name for path in (tmp_path / "first").glob("checkpoint-*.safetensors"))
    train(simulate, *OWN, "--steps", "1", "--lr", "0", "--weights", f"first/{checkpoint}", "--out", "dense")
    assert torch.equal(load_file(tmp_path / "dense/weights.safetensors")["0.weight"], first["0.weight"])
    weights = dict(first)
    for change, said in (
        ({**weights, "2.weight": torch.zeros(3, 3)}, "'2.weight' is 3x3, and the model has 32x32"),
        (
            {name.replace("2.", "3."): each for name, each in weights.items()},
            "which the model has, '2.weight'; did you",
        ),
    ):
        save_file(change, tmp_path / "w.safetensors")
        code, _, err = simulate("train", *OWN, "--steps", "1", "--weights", "w.safetensors", "--out", "third")
        assert code == 2 and said in err and err.count("\n") == 1 and not (tmp_path / "third").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "mine:build"), "--data: say what mine:build trains on, for example --data mypackage:loader"),
        (("--model", "resnet9", "--data", "mine:loader", "--pattern", "2:8"), "--data: resnet9 trains on --dataset"),
        (("--model", "mine:biuld", *OWN[2:]), "unknown name in mine 'biuld'; did you mean 'build'?"),
        (
            (*OWN[:2], "--data", "mine:laoder", "--pattern", "2:8"),
            "unknown name in mine 'laoder'; did you mean 'loader'?",
        ),
        ((*OWN[:2], "--data", "loader"), "'loader': write MODULE:NAME"),
        ((*OWN, "--dataset", "digits"), "--dataset: is for registered models and data"),
        ((*OWN, "--width", "0.5"), "--width: is for registered models and data"),
        ((*OWN, "--mixed-precision"), "--mixed-precision: rounds the products of registered models"),
        ((*OWN, "--device", "gpu"), "--device: unknown device 'gpu'; did you mean 'cpu'? (known: cpu, cuda)"),
        ((*OWN[:2], "--data", "mine:stream", "--pattern", "2:8"), "gives a Stream, which has no numbered examples"),
        ((*OWN[:2], "--data", "mine:drawn", "--pattern", "2:8"), "its DataLoader has a WeightedRandomSampler"),
        (("--model", "mine:no_loss", "--data", "mine:named", "--pattern", "2:8"), "without a loss of its own"),
        (("--model", "mine.build", *OWN[2:]), "--model mine.build: write PACKAGE.MODULE:NAME for a module of your own"),
        ((*OWN[:2], "--data", "mine:triples", "--pattern", "2:8"), "wanted are inputs and targets, (x, y)"),
        ((*OWN[:2], "--data", "mine:wrong", "--pattern", "2:8"), "targets of 40x7 do not fit an output of 40x3"),
        (
            (*OWN[:2], "--data", "mine:narrow", "--pattern", "2:8"),
            "--model: cannot run on a batch of --data: RuntimeError",
        ),
        ((*OWN[:2], "--data", "mine:broken", "--pattern", "2:8"), "making it stopped: ValueError: no files here"),
        ((*OWN, "--pattern", "9=1:8"), "pattern '9': no layer has such a name; the layers are '0', '2', '4'"),
        ((*OWN, "--weights", "none.safetensors"), "none.safetensors: cannot be read: No such file or directory"),
        ((*OWN, "--weights", "."), ": is a folder"),
        ((*OWN, "--weights", "mine.py"), "is not a whole file of tensors (safetensors)"),
        ((*OWN[:2], "--data", "mine:build", "--pattern", "2:8"), "gives a Sequential, which has no numbered examples"),
        ((*OWN[:2], "--data", "os:sep", "--pattern", "2:8"), "gives a str, which has no numbered examples"),
    ],
)
def test_a_mistake_is_one_sentence(simulate: Run, arguments: tuple[str, ...], said: str) -> None:
    code, _, err = simulate("train", *arguments, "--steps", "2", "--batch", "40", "--out", "r")
    assert code == 2 and said in err and err.count("\n") == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_a_device_that_is_not_there(simulate: Run, tmp_path: Path) -> None:
    code, _, err = simulate("train", *OWN, "--device", "cuda", "--out", "r")
    assert code == 2 and "--device cuda: torch finds no CUDA device here" in err and not (tmp_path / "r").exists()
