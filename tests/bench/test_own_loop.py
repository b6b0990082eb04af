"""What a method adds to the forward and backward pass of a user's own loop: `make bench`.

Masks are not renewed within; the time that new ones of all layers take is a row of its own.
"""

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention, silu

from tests.bench.pairs import benchmark_beside
from workloads import advance, sparsify
from workloads.models.resnet import resnet18

pytestmark = pytest.mark.bench
Step = Callable[[nn.Module], None]


class Block(nn.Module):
    """A layer of Llama's kind: 128 channels, 4 heads, 344 in the feed-forward part."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(128, 128, bias=False) for _ in range(4))
        self.gate, self.up = nn.Linear(128, 344, bias=False), nn.Linear(128, 344, bias=False)
        self.down = nn.Linear(344, 128, bias=False)
        self.before, self.after = nn.RMSNorm(128), nn.RMSNorm(128)

    def forward(self, x: Tensor) -> Tensor:
        y = self.before(x)
        heads = (each(y).unflatten(-1, (4, 32)).transpose(1, 2) for each in (self.query, self.key, self.value))
        mixed = scaled_dot_product_attention(*heads, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        y = self.after(x)
        result: Tensor = x + self.down(silu(self.gate(y)) * self.up(y))
        return result


def llama(batch: int, tokens: int) -> tuple[nn.Module, Step]:
    """1,055,104 weights."""
    blocks = [Block() for _ in range(5)]
    model = nn.Sequential(nn.Embedding(256, 128), *blocks, nn.RMSNorm(128), nn.Linear(128, 256, bias=False))
    ids = torch.randint(0, 256, (batch, tokens))
    return model, lambda model: cross_entropy(model(ids).flatten(0, 1), ids.flatten()).backward()


def resnet(batch: int) -> tuple[nn.Module, Step]:
    """ResNet-18 with ten classes: 11,181,642 weights."""
    model, x = resnet18.build(classes=10, image=64).train(), torch.randn(batch, 3, 64, 64)
    return model, lambda model: model(x).square().mean().backward()


CASES = {
    "resnet18, 64 x 3 x 64 x 64": (lambda: resnet(64), 7, ", wanted at most 1.15"),
    "resnet18, 8 x 3 x 64 x 64": (lambda: resnet(8), 25, ", wanted at most 1.5"),
    "llama of 1.06 M weights, 8 x 128": (lambda: llama(8, 128), 41, ", wanted at most 1.15"),
    "llama of 1.06 M weights, 2 x 32": (lambda: llama(2, 32), 81, ""),
}


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch computes in one thread, on the same numbers every time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", CASES)
def test_step_of_own_loop_with_bdwp(benchmark: Any, name: str) -> None:
    make, rounds, wanted = CASES[name]
    dense, step = make()
    sparse = copy.deepcopy(dense)
    sparsify(sparse, "bdwp", "2:8")

    def once(model: nn.Module) -> None:
        model.zero_grad()
        step(model)

    benchmark_beside(benchmark, partial(once, sparse), partial(once, dense), "dense", rounds)
    benchmark.extra_info["note"] += wanted


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", [name for name in CASES if ", 8 x" in name])
def test_new_masks_of(benchmark: Any, name: str) -> None:
    model, _ = CASES[name][0]()
    sparsify(model, "bdwp", "2:8")
    benchmark.pedantic(advance, (model,), rounds=5, warmup_rounds=1)
