"""A user's own package, with modules that can be recorded and modules that cannot."""

import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

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

class Odd(Exception):
    def __str__(self): raise ValueError("no words")

class Ends(BaseException):
    pass

class Second(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.calls = nn.Linear(16, 4), 0
    def forward(self, x):
        self.calls += 1
        if self.calls > 1:
            raise KeyError("not twice")
        return self.layer(x)

class Untrainable(nn.Linear):
    def train(self, mode=True): raise ValueError("never")

def raised(error): raise error
def down(y): return down(y)
def deep(): return Gives(down)
def leaves(): return Gives(lambda y: raised(SystemExit(0)))
def odd(): return Gives(lambda y: raised(Odd()))
def ends(): return Gives(lambda y: raised(Ends("all")))
def interrupted(): return Gives(lambda y: raised(KeyboardInterrupt()))
def second(): return Second()
def untrainable(): return Untrainable(16, 4)
def huge(): return nn.Linear(16, 2**50)
def __getattr__(name):
    if name == "trap": raise ValueError("a trap")
    raise AttributeError(name)

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
