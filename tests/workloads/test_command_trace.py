"""A user's own module from the command line: recorded, simulated, or refused in one sentence."""

import json
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.command import Run, without

MODULE = """
import torch
from torch import nn
from torch.nn.utils import prune
from torch.utils.checkpoint import checkpoint

def convs():
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3),
                         nn.Flatten(), nn.Linear(16 * 10 * 10, 10))

def linears():
    return nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 8))

built = linears()
number = 3

class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, 16)
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.head = nn.Linear(16, 50)
        self.head.weight = self.embedding.weight
    def forward(self, x):
        return self.head(self.encoder(self.embedding(x)))

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(4, 8)
    def forward(self, x, y):
        return (self.a(x) + self.b(y)).reshape(-1)

class Gives(nn.Module):
    def __init__(self, what):
        super().__init__()
        self.layer, self.what = nn.Linear(16, 4), what
    def forward(self, x):
        return self.what(self.layer(x))

class Wrapped(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner
    def forward(self, x):
        out = self.inner(x)
        return out[0] if isinstance(out, tuple) else out

class Cast(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = linears()
    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.inner(x)

class Again(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = linears()
    def forward(self, x):
        return self.inner[4](checkpoint(self.inner[:4], x, use_reentrant=False))

class OwnForward(nn.Linear):
    def forward(self, x):
        return super().forward(x) * 2

class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.read, self.last = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 4)
    def forward(self, x):
        return self.last(self.first(x) @ self.read.weight.T)

class Looks(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 4)
    def forward(self, x):
        return self.layer(x) if x.sum() > -1e9 else x

class Stops(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return x * 2
    @staticmethod
    def backward(ctx, gradient): raise ValueError("no way back")

def no_number(): return Gives(lambda y: y / 0)
def gives_nothing(): return Gives(lambda y: y[:0])
def no_way_back(): return Gives(Stops.apply)
def compressed():
    model = linears()
    model[2].weight = nn.Parameter(model[2].weight.detach().relu().to_sparse())
    return model
def lazy(): return nn.Sequential(nn.LazyLinear(16), nn.LazyLinear(8), nn.LazyLinear(4))
def gives_dict(): return Gives(lambda y: {"logits": y})
def gives_tuple(): return Gives(lambda y: (y, y))
def gives_numbers(): return Gives(lambda y: y.argmax(-1))
def detached(): return Gives(lambda y: y.detach())
def cast(): return Cast()
def again(): return Again()
def lstm(): return Wrapped(nn.LSTM(16, 4))
def compiled(): return torch.compile(linears(), backend="eager")
def compiled_inside():
    model = linears()
    model[2] = torch.compile(model[2], backend="eager")
    model.compile(backend="eager")
    return model
def shared():
    layer = nn.Linear(16, 16)
    return nn.Sequential(layer, nn.ReLU(), layer, nn.Linear(16, 4))
def tied():
    model = nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 4))
    model[2].weight = model[1].weight
    return model
def pruned():
    model = linears()
    prune.l1_unstructured(model[2], "weight", 0.75)
    return model
def pruned_by_ao():
    from torch.ao.pruning import WeightNormSparsifier
    model = linears()
    sparsifier = WeightNormSparsifier(sparsity_level=1.0, sparse_block_shape=(1, 4), zeros_per_block=2)
    sparsifier.prepare(model, [{"tensor_fqn": "2.weight"}])
    sparsifier.step()
    return model
def own(): return nn.Sequential(nn.Linear(16, 16), OwnForward(16, 16), nn.Linear(16, 4))
def reader(): return Reader()
def looks(): return Looks()
def nothing(): return Wrapped(nn.ReLU())
def fails(): raise RuntimeError("no weights here\\nsecond line")
def needs(argument): return linears()
def text(): return "a model"
def one(): return nn.Linear(16, 8)
"""

_numbers = count()


@pytest.fixture
def module(tmp_path: Path) -> Iterator[str]:
    """The name of a package's module, new for every test."""
    name = f"users_package_{next(_numbers)}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "models.py").write_text(MODULE)
    (tmp_path / name / "broken.py").write_text("import torch\nraise ValueError('not today')\n")
    (tmp_path / name / "lacking.py").write_text("import package_of_nobody\n")
    yield f"{name}.models"
    for each in [each for each in sys.modules if each.startswith(name)]:
        del sys.modules[each]


def trace(simulate: Run, tmp_path: Path, *arguments: str) -> dict[str, Any]:
    code, out, err = simulate("trace", *arguments, "--out", "w.json", "--force")
    assert (code, err) == (0, "")
    assert "recorded: simulate --workload w.json" in out
    node: dict[str, Any] = json.loads((tmp_path / "w.json").read_text())
    return {**node, "said": out}


def products(node: dict[str, Any]) -> list[tuple[str, str]]:
    return [(op["layer"], op["phase"]) for op in node["ops"] if "left" in op]


def test_a_traced_module_is_simulated(simulate: Run, tmp_path: Path, module: str) -> None:
    code, out, err = simulate("trace", f"{module}:convs", "--input", "2x3x16x16", "--pattern", "2:8")
    assert (code, err) == (0, "")
    assert f"{module}:convs: 11 products, " in out
    assert "loss: cross-entropy on random targets, with the output 2x10 as logits" in out
    assert "dense unless --pattern LAYER=n:m names them: 0, 6" in out
    node = json.loads((tmp_path / "convs.json").read_text())
    assert (node["method"], node["pattern"], node["batch"], node["capture"]["masks"]) == ("bdwp", "2:8", 2, "measured")
    assert node["capture"]["loss"] > 0 and node["capture"]["dataset"] == "random inputs 2x3x16x16"
    code, out, err = simulate("--workload", "convs.json", "--json", "--out", "r")
    assert (code, err) == (0, "")
    sparse = {(op["layer"], op["phase"]) for op in json.loads(out)["ops"] if op["pattern"] == "2:8"}
    assert sparse == {("2", "FF"), ("2", "BP"), ("4", "FF"), ("4", "BP")}
    code, _, err = simulate("--workload", "convs.json", "--batch", "4")
    assert code == 2 and "convs.json: --batch 4: is a step recorded at batch 2, and holds no other" in err


def test_tokens_tied_weights_and_attention(simulate: Run, tmp_path: Path, module: str) -> None:
    shapes = trace(simulate, tmp_path, f"{module}:Tokens", "--input", "2x6:50", "--shapes-only")
    node = trace(simulate, tmp_path, f"{module}:Tokens", "--input", "2x6:50", "--optimizer", "adamw")
    assert products(shapes) == products(node)
    assert (node["batch"], node["sequence"]) == (2, 6)
    assert "with the output 2x6x50 as logits" in node["said"]
    names = {op["right"]["tensor"] for op in node["ops"] if op["layer"] == "head" and "left" in op}
    assert "embedding.weight" in names
    attention = [op for op in node["ops"] if op.get("count", 1) == 4 and "left" in op]
    assert [op["phase"] for op in attention] == ["FF"] * 2 + ["BP"] * 4
    assert {op["optimizer"] for op in node["ops"] if op.get("optimizer")} == {"adamw"}


def test_two_inputs_and_a_sum_of_squares(simulate: Run, tmp_path: Path, module: str) -> None:
    node = trace(simulate, tmp_path, f"{module}:Two", "--input", "3x8", "--input", "3x4")
    assert "loss: the sum of squares of the output 24" in node["said"]
    assert products(node) == [("a", "FF"), ("b", "FF"), ("b", "WU"), ("a", "WU")]


def test_a_module_itself_and_a_single_layer(simulate: Run, tmp_path: Path, module: str) -> None:
    assert len(products(trace(simulate, tmp_path, f"{module}:built", "--input", "4x16"))) == 8
    assert products(trace(simulate, tmp_path, f"{module}:one", "--input", "4x16")) == [("model", "FF"), ("model", "WU")]
    node = trace(simulate, tmp_path, f"{module}:one", "--input", "4x16", "--pattern", "0=2:8")
    assert node["ops"][0]["right"]["pattern"] == {"kind": "n:m", "n": 2, "m": 8}


PLAIN = [("0", "FF"), ("2", "FF"), ("4", "FF"), ("4", "BP"), ("4", "WU"), ("2", "BP"), ("2", "WU"), ("0", "WU")]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's compiler
@pytest.mark.parametrize("name", ["linears", "compiled", "compiled_inside", "pruned", "pruned_by_ao"])
@pytest.mark.parametrize("shapes", [(), ("--shapes-only",)])
def test_products_do_not_depend_on_how_a_module_is_wrapped(
    simulate: Run, tmp_path: Path, module: str, name: str, shapes: tuple[str, ...]
) -> None:
    node = trace(simulate, tmp_path, f"{module}:{name}", "--input", "4x16", *shapes)
    assert products(node) == PLAIN
    zeros = {
        op["right"].get("zeros") for op in node["ops"] if op["layer"] == "2" and op["phase"] == "FF" and "left" in op
    }
    assert zeros == {None if shapes else {"pruned": 0.75, "pruned_by_ao": 0.5}.get(name, 0.0)}


def test_casts_and_checkpoints(simulate: Run, tmp_path: Path, module: str) -> None:
    inner = [(f"inner.{layer}", phase) for layer, phase in PLAIN]
    assert products(trace(simulate, tmp_path, f"{module}:cast", "--input", "4x16")) == inner
    again = products(trace(simulate, tmp_path, f"{module}:again", "--input", "4x16"))
    assert again[:3] + again[5:] == inner and again[3:5] == [("inner.0", "FF"), ("inner.2", "FF")]
    sparse = trace(simulate, tmp_path, f"{module}:again", "--input", "4x16", "--pattern", "2:8")
    assert len(products(sparse)) >= len(again)
    patterns = [op["right"].get("pattern") for op in sparse["ops"] if op["layer"] == "inner.2" and "left" in op]
    assert patterns.count({"kind": "n:m", "n": 2, "m": 8}) == len(patterns) - 1  # all but WU


def test_without_values_torch_takes_an_lstm_apart(simulate: Run, tmp_path: Path, module: str) -> None:
    node = trace(simulate, tmp_path, f"{module}:lstm", "--input", "3x4x16", "--shapes-only")
    forward = [(op["rows"], op["inner"], op["cols"]) for op in node["ops"] if op["phase"] == "FF" and "left" in op]
    assert sorted(forward) == [(4, 4, 16)] * 3 + [(4, 16, 16)] * 3  # state and input of each step


def test_layers_that_wait_for_their_first_input(simulate: Run, tmp_path: Path, module: str) -> None:
    for shapes in ((), ("--shapes-only",)):
        node = trace(simulate, tmp_path, f"{module}:lazy", "--input", "4x16", "--pattern", "2:4", *shapes)
        assert [op["inner"] for op in node["ops"] if op["phase"] == "FF" and "left" in op] == [16, 16, 8]


def test_a_shared_module_is_recorded_as_it_is(simulate: Run, tmp_path: Path, module: str) -> None:
    node = trace(simulate, tmp_path, f"{module}:shared", "--input", "4x16")
    assert [layer for layer, phase in products(node) if phase == "FF"] == ["0", "0", "3"]


def test_tied_layers_take_a_method(simulate: Run, tmp_path: Path, module: str) -> None:
    node = trace(simulate, tmp_path, f"{module}:tied", "--input", "4x16", "--pattern", "2:4")
    zeros = {op["layer"]: op["right"]["zeros"] for op in node["ops"] if op["phase"] == "FF" and "left" in op}
    assert zeros == {"0": 0.0, "1": 0.5, "2": 0.5, "3": 0.0}


@pytest.mark.parametrize(
    "change",
    [
        ("--input", "8x16"),
        ("--method", "sdgp", "--pattern", "2:4"),
        ("--pattern", "1:4"),
        ("--method", "bimask", "--set", "seed=4", "--pattern", "2:4"),
        ("--optimizer", "adam"),
        ("--loss", "squares"),
        ("--shapes-only",),
        ("--seed", "3"),
    ],
)
def test_an_option_changes_the_workload(simulate: Run, tmp_path: Path, module: str, change: tuple[str, ...]) -> None:
    plain = ["--input", "4x16", "--pattern", "2:4"]
    changed = [*([] if change[0] == "--input" else plain[:2]), *([] if "--pattern" in change else plain[2:]), *change]
    nodes = [trace(simulate, tmp_path, f"{module}:linears", *arguments) for arguments in (plain, changed)]
    for node in nodes:
        del node["said"]
        node["capture"]["dataset"] = ""
    assert nodes[0] != nodes[1]
    assert trace(simulate, tmp_path, f"{module}:linears", *plain)["ops"] == nodes[0]["ops"]


IN = ("--input", "4x16")
MISTAKES = [
    ((":linears", "--input", "4xx16"), "--input 4xx16: write sizes, such as 1x3x224x224, or 8x128:30522 for integers"),
    ((":linears", "--input", "0x16"), "--input 0x16: write sizes"),
    ((":linears", "--input", "4x16:0"), "--input 4x16:0: write sizes"),
    ((":linears",), "--input: say what the module takes, for example --input 1x3x224x224"),
    ((":linear", *IN), "unknown name in users_package"),
    ((":number", *IN), ":number: is a int; wanted is a torch module or a function that builds one"),
    ((":text", *IN), ":text: gives a str; wanted is a torch module"),
    ((":fails", *IN), ":fails: building it stopped: RuntimeError: no weights here\n"),
    ((":needs", *IN), "building it stopped: TypeError: needs() missing 1 required positional argument: 'argument'"),
    (
        (":convs", *IN),
        ":convs: cannot run on --input 4x16: RuntimeError: Expected 3D (unbatched) or 4D (batched) input",
    ),
    ((":linears", "--input", "4x3"), "cannot run on --input 4x3: RuntimeError: mat1 and mat2 shapes cannot be mult"),
    ((":Two", *IN), ":Two: cannot run on --input 4x16: TypeError: "),
    (
        (":gives_dict", *IN),
        ":gives_dict: returns a dict; wrap it in a module that returns one tensor, such as its logi",
    ),
    ((":gives_tuple", *IN), ":gives_tuple: returns a tuple; wrap it"),
    ((":gives_numbers", *IN), ":gives_numbers: returns torch.int64, which has no gradient"),
    ((":no_number", *IN), ":no_number: the loss is nan, so nothing that is measured would mean anything"),
    ((":gives_nothing", *IN), ":gives_nothing: the loss is nan, so nothing"),
    ((":no_way_back", *IN), ":no_way_back: its backward pass stopped: ValueError: no way back"),
    ((":compressed", *IN), "layer '2': its weight is a tensor of layout sparse_coo, which hides its values; give it a"),
    ((":detached", *IN), ":detached: its output depends on no parameter"),
    (
        (":lstm", "--input", "3x4x16"),
        "layer 'inner': torch runs it as 'mkldnn_rnn_layer', whose products cannot be rec",
    ),
    ((":nothing", *IN), ":nothing: "),
    ((":nothing", *IN, "--pattern", "2:8"), ":nothing: has no convolution and no linear layer, so --pattern does not"),
    ((":looks", *IN, "--shapes-only"), "it may need values, so leave out --shapes-only: "),
    ((":built", *IN, "--shapes-only"), ":built: --shapes-only takes a function that builds the module, not a module"),
    ((":shared", *IN, "--pattern", "2:8"), "layer '2': is the same module as '0'; a method can take only one name of"),
    ((":pruned", *IN, "--pattern", "2:8"), "layer '2': its weight is made sparse by another tool already; record it a"),
    ((":pruned_by_ao", *IN, "--pattern", "2:8"), "layer '2': its weight is made sparse by another tool already"),
    ((":own", *IN, "--pattern", "2:8"), "layer '1': is a OwnForward, with a forward pass of its own; a method cannot"),
    ((":reader", *IN, "--pattern", "2:8"), "layer 'read': was made sparse and did not run; what it belongs to reads i"),
    (
        (":one", *IN, "--pattern", "2:8"),
        "--pattern 2:8: no layer became sparse; the first and the last stay dense unle",
    ),
    ((":linears", *IN, "--pattern", "9:8"), "'9:8' keeps more than a group has"),
    ((":linears", *IN, "--pattern", "2:8,x=1:8"), "pattern 'x': no layer has such a name (there are 0, 2, 4)"),
    ((":linears", *IN, "--method", "bdwp"), "--pattern: method 'bdwp' needs one, for example --pattern 2:8"),
    ((":linears", *IN, "--method", "dense", "--pattern", "2:8"), "--pattern: method 'dense' keeps every weight"),
    ((":linears", *IN, "--method", "bdpw"), "unknown method 'bdpw'; did you mean 'bdwp'?"),
    ((":linears", *IN, "--pattern", "2:8", "--set", "x=1"), "--set: unknown field of method 'bdwp' 'x' (known: decay)"),
    ((":linears", *IN, "--set", "x=1"), "--set: unknown field of method 'dense' 'x' (known: (none))"),
    ((":linears", *IN, "--optimizer", "adan"), "--optimizer: unknown optimizer 'adan'; did you mean 'adam'?"),
    ((":linears", *IN, "--loss", "hinge"), "--loss: unknown loss 'hinge'"),
    (
        (":Two", "--input", "3x8", "--input", "3x4", "--loss", "cross-entropy"),
        "the output 24 has no last axis of class",
    ),
    ((":linears", *IN, "--seed", "-1"), "--seed -1: must lie between 0 and 4294967295"),
    ((":linears", *IN, "--out", "no/where.json"), "--out no/where.json: there is no folder 'no'"),
    ((":linears", *IN, "--out", "."), "--out .: is a folder; a workload is a file"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES, ids=[" ".join(each) for each, _ in MISTAKES])
def test_one_sentence_and_exit_code_2(
    simulate: Run, tmp_path: Path, module: str, arguments: tuple[str, ...], sentence: str
) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    code, out, err = simulate("trace", module + arguments[0], *arguments[1:])
    assert sentence in err
    assert err.count("\n") == 1
    assert (code, out, sorted(path.name for path in tmp_path.iterdir())) == (2, "", before)


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("models", "'PACKAGE.models': write MODULE:NAME, for example mypkg.mymodule:build_model"),
        ("modles:linears", "there is no module 'PACKAGE.modles'; looked for 'PACKAGE.modles' in the current folder"),
        ("broken:linears", "PACKAGE.broken: importing it stopped: ValueError: not today"),
        ("lacking:linears", "PACKAGE.lacking: importing it needs the package 'package_of_nobody', which is missing"),
    ],
)
def test_a_module_that_cannot_be_imported(simulate: Run, module: str, target: str, sentence: str) -> None:
    package = module.partition(".")[0]
    code, out, err = simulate("trace", f"{package}.{target}", *IN)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence.replace("PACKAGE", package) in err


def test_a_workload_file_is_not_overwritten_unasked(simulate: Run, tmp_path: Path, module: str) -> None:
    assert simulate("trace", f"{module}:linears", *IN)[0] == 0
    before = (tmp_path / "linears.json").read_text()
    code, _, err = simulate("trace", f"{module}:linears", *IN, "--seed", "4")
    assert code == 2 and "--out linears.json: is there already; choose another file or add --force" in err
    assert (tmp_path / "linears.json").read_text() == before
    assert simulate("trace", f"{module}:linears", *IN, "--seed", "4", "--force")[0] == 0
    assert (tmp_path / "linears.json").read_text() != before


def test_without_torch_it_says_how_to_get_it(tmp_path: Path) -> None:
    done = without("torch", tmp_path, "trace", "a:b", *IN)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("simulate: this needs the package 'torch', which is missing: pip install ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("ab", *IN), "'ab': write MODULE:NAME"),
        (("a:b",), "--input: say what the module takes"),
        (("a:b", *IN, "--pattern", "9:8"), "'9:8' keeps more than a group has"),
        (("a:b", *IN, "--method", "bdpw", "--pattern", "2:8"), "unknown method 'bdpw'"),
        (("a:b", *IN, "--loss", "hinge"), "--loss: unknown loss 'hinge'"),
    ],
)
def test_a_mistake_is_named_before_torch_is_needed(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = without("torch", tmp_path, "trace", *arguments)
    assert done.returncode == 2 and sentence in done.stderr
