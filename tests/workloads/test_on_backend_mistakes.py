"""What `simulate train --on NAME` refuses, in a sentence, before anything is written."""

from pathlib import Path

import pytest

from tests.command import Run
from workloads.methods.bdwp import BDWP
from workloads.methods.fields import changed
from workloads.registry import METHODS, names
from workloads.training.supported import table, why_not

ON = ("--on", "golden", "--pattern", "2:8", "--steps", "2", "--out", "r")
MLP = ("--model", "mlp", "--batch", "16")
DOCS = Path(__file__).parents[2] / "docs/backends.md"
MINE = """
import torch
from torch import nn
from torch.utils.data import TensorDataset

def drawn(*shape):
    chance = torch.Generator().manual_seed(5)
    return TensorDataset(torch.randn(*shape, generator=chance), torch.randint(0, 3, (40,), generator=chance))
def data(): return drawn(40, 8)
def images(): return drawn(40, 8, 6, 6)
def dropout():
    return nn.Sequential(nn.Linear(8, 32), nn.LayerNorm(32), nn.GELU(), nn.Dropout(0.2), nn.Linear(32, 16), nn.ReLU(),
                         nn.Linear(16, 3, bias=False))
def convolutions():
    return nn.Sequential(nn.Conv2d(8, 16, 3, padding=(2, 0)), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(16, 12, (1, 2)), nn.PReLU(12), nn.Flatten(), nn.Linear(48, 4))

class Own(nn.Linear):
    def forward(self, x): return nn.functional.linear(x, self.weight, self.bias)

def own(): return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), Own(16, 16), nn.Linear(16, 3))
def circular():
    conv = nn.Conv2d(8, 8, 3, padding=1, padding_mode="circular")
    return nn.Sequential(conv, nn.Flatten(), nn.Linear(288, 4))
def strided(): return nn.Sequential(nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3, stride=2), nn.Flatten(), nn.Linear(8, 4))
def depthwise(): return nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.Flatten(), nn.Linear(128, 4))
def frozen():
    made = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    made[0].weight.requires_grad_(False)
    return made

class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 3)
    def forward(self, x): return self.b(self.a(self.a(x)))
def twice(): return Twice()

class Penalty(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(8, 16), nn.Linear(16, 1)
    def forward(self, x): return {"loss": self.b(self.a(x)).square().mean() + 0.1 * self.a.weight.square().sum()}
def penalty(): return Penalty()

class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(8, 16), nn.Linear(16, 3)
    def forward(self, x):
        y = self.a(x)
        return self.b((y @ y.mT) @ y)
def attention(): return Attention()
"""


@pytest.fixture
def mine(tmp_path: Path) -> None:
    (tmp_path / "backend_modules.py").write_text(MINE)


def own(name: str, data: str = "data") -> tuple[str, ...]:
    return ("--model", f"backend_modules:{name}", "--data", f"backend_modules:{data}", "--batch", "10")


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*MLP, *ON, "--on", "gold"), "unknown backend 'gold'; did you mean 'golden'?"),
        ((*MLP, *ON, "--accumulate", "2"), "--accumulate: does not go with --on golden: a backend makes one update"),
        ((*MLP, *ON, "--device", "cuda"), "--device: does not go with --on golden: what a backend does not do"),
        ((*MLP, *ON, "--mixed-precision"), "--mixed-precision: does not go with --on golden: operands of a backend"),
        ((*MLP, *ON, "--capture-at", "1"), "--capture-at: does not go with --on golden: one step is recorded anyway"),
        ((*MLP, *ON, "--optimizer", "sgd"), "--optimizer sgd: update engines have momentum and adamw"),
        ((*MLP, *ON, "--loss-scale", "1000"), "--loss-scale 1000: must be a power of two from 1 to 16777216"),
        ((*MLP, *ON, "--loss-scale", "0.5"), "--loss-scale 0.5: must be a power of two"),
        ((*MLP, *ON[2:], "--alone"), "--alone: goes with a backend; name one with --on (core, golden, "),
        ((*MLP, *ON[2:], "--loss-scale", "2"), "--loss-scale: goes with a backend"),
        (
            (*MLP, *ON, "--method", "srste"),
            "--on golden: method 'srste' cannot train there: weights that the mask drops decay, which the update "
            "engine does not do (able are bdwp, dense, sdwp)",
        ),
        ((*MLP, *ON, "--decay", "0.1"), "--on golden: method 'bdwp' cannot train there: weights that the mask drops"),
        (
            ("--model", "resnet18", "--width", "0.1", "--image", "32", "--batch", "2", *ON),
            "--on golden: layer 'conv1': the input gradient of a strided convolution comes in classes",
        ),
        ((*own("strided", "images"), *ON), "--on golden: layer '1': the input gradient of a strided convolution"),
        ((*own("depthwise", "images"), *ON), "--on golden: layer '0': is a convolution in 8 groups"),
        ((*own("own"), *ON), "layer '2': a Own as this one runs its own forward pass"),
        (
            (*own("own"), *ON, "--pattern", "2=dense"),
            "--on golden: layer '2': is a Own that multiplies in a way of its",
        ),
        (
            (*own("circular", "images"), *ON, "--pattern", "0=dense"),
            "--on golden: layer '0': is a Conv2d that multiplies",
        ),
        ((*own("frozen"), *ON), "--on golden: layer '0': its weight does not train"),
        ((*own("twice"), *ON), "--on golden: layer 'a': has more than one product of FF in a step"),
        ((*own("attention"), *ON), "--on golden: layer 'model': multiplies activations by each other"),
    ],
)
def test_mistakes(simulate: Run, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    code, out, err = simulate("train", *arguments)
    assert (code, out) == (2, "") and err.startswith(f"simulate: {said}") and err.count("\n") == 1
    assert not (tmp_path / "r").exists()


@pytest.mark.usefixtures("mine")
def test_a_gradient_that_no_product_gave_ends_the_run(simulate: Run) -> None:
    code, _, err = simulate("train", *own("penalty"), *ON)
    assert code == 2 and err == (
        "simulate: layer 'a': its weight gets a gradient beside that of its product, as of a penalty in the loss, "
        "which a backend does not see; --weight-decay decays weights there\n"
    )


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize(("model", "data"), [("dropout", "data"), ("convolutions", "images")])
def test_modules_of_the_users_own_train(simulate: Run, tmp_path: Path, model: str, data: str) -> None:
    for name in ("golden", "reference"):
        code, _, err = simulate("train", *own(model, data), *ON[:-1], name, "--on", name, "--lr", "0.05")
        assert (code, err) == (0, "")
    logs = [(tmp_path / name / "log.csv").read_text() for name in ("golden", "reference")]
    assert logs[0] == logs[1]
    first, second = (line.split(",") for line in logs[0].splitlines()[1:])
    for line in (first, second):
        assert abs(float(line[2]) - float(line[-2])) < 5e-3, "the same dropout in torch"
    assert float(first[2]) != float(first[-2])


def test_methods_that_cannot_say_why_and_the_page_has_the_table() -> None:
    found = table()
    assert [name for name, _ in found] == names(METHODS)
    assert [name for name, said in found if not said] == ["bdwp", "dense", "sdwp"]
    assert why_not(changed(BDWP, decay=1e-4)) == dict(found)["srste"] != ""
    text = DOCS.read_text(encoding="utf-8")
    assert "\n".join(f"| `{name}` | {said or 'yes'} |" for name, said in found) in text


def test_backends_are_listed(simulate: Run) -> None:
    code, out, err = simulate("list", "backends")
    assert (code, err) == (0, "") and {"golden", "reference"} <= set(out.split())
