"""What a method adds to the forward and backward pass of a user's own loop, in pairs with the dense model, by CPU time.

Masks are not renewed within; the time that new ones of all layers take is measured apart.
"""

import copy
import statistics
from collections.abc import Callable
from time import process_time

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention, silu

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
    "resnet18, 64 x 3 x 64 x 64": (lambda: resnet(64), 7, 1.15),
    "resnet18, 8 x 3 x 64 x 64": (lambda: resnet(8), 25, 1.5),
    "llama of 1.06 M weights, 8 x 128": (lambda: llama(8, 128), 41, 1.15),
    "llama of 1.06 M weights, 2 x 32": (lambda: llama(2, 32), 81, None),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_method_adds_in_a_loop_of_ones_own(name: str) -> None:
    make, pairs, wanted = CASES[name]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    dense, step = make()
    sparse = copy.deepcopy(dense)
    sparsify(sparse, "bdwp", "2:8")

    def seconds(model: nn.Module) -> float:
        model.zero_grad()
        start = process_time()
        step(model)
        return process_time() - start

    for _ in range(2):
        times = [(seconds(dense), seconds(sparse)) for _ in range(pairs)]
    ratios = sorted(new / old for old, new in times)
    advance(sparse)
    start = process_time()
    advance(sparse)
    masks = process_time() - start
    bar = "" if wanted is None else f", wanted at most {wanted}"
    old, new = (1000 * statistics.median(each) for each in zip(*times, strict=True))
    print(
        f"\n{name}: {statistics.median(ratios):.2f} times dense ({ratios[0]:.2f} to {ratios[-1]:.2f}{bar}), "
        f"{old:.1f} and {new:.1f} ms; new masks {1000 * masks:.0f} ms"
    )
