"""A small network, and layers by themselves, under any method."""

from collections.abc import Iterator
from typing import final

import torch
from torch import Tensor, nn

from workloads.methods.base import Method
from workloads.op import Phase
from workloads.pattern import parse_pattern, parse_patterns
from workloads.recording.products import Product
from workloads.training.arithmetic import AdamW, Momentum, Update
from workloads.training.data import digits
from workloads.training.layers import MethodConvolution, MethodLayer, MethodLinear, Treatment
from workloads.training.loop import LossScale, Recipe, Training

SPARSE = ("middle", "grouped", "hidden")
SGD = Momentum(0.02, 0.0)
ADAMW = AdamW(1e-3, 0.0)


@final
class Small(nn.Module):
    """Three convolutions, one of them strided and one in two groups, and two linear layers, for 8x8 digits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, padding=1)
        self.middle = nn.Conv2d(16, 24, 3, stride=2, padding=1, bias=False)
        self.grouped = nn.Conv2d(24, 16, 3, padding=1, groups=2)
        self.hidden = nn.Linear(256, 32)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.middle(torch.relu(self.stem(x))))
        x = torch.relu(self.grouped(x)).flatten(1)
        result: Tensor = self.head(torch.relu(self.hidden(x)))
        return result


def training(method: Method, pattern: str = "2:4", update: Update = SGD, mixed: bool = False) -> Training:
    torch.manual_seed(3)
    recipe = Recipe(method, parse_patterns([pattern]), ("stem", "head"), update, mixed, LossScale(2.0**10))
    return Training(Small(), recipe)


def batches(size: int = 16) -> Iterator[tuple[Tensor, Tensor]]:
    images, labels = digits()
    generator = torch.Generator().manual_seed(5)
    while True:
        chosen = torch.randint(0, len(labels), (size,), generator=generator)
        yield images[chosen], labels[chosen]


def products_after(run: Training, steps: int) -> dict[tuple[str, Phase], Product]:
    """The products of one recorded step after `steps` others, by layer and phase."""
    data, seen = batches(), {}
    for _ in range(steps):
        run.run_step(next(data))
    run.record_step(next(data), lambda product: seen.update({(product.op.layer, product.op.phase): product}))
    return seen


def treated(dense: nn.Module, method: Method, pattern: str = "2:4", mixed: bool = False) -> MethodLayer:
    """A layer under a method, with the masks of step 0."""
    kind = MethodLinear if isinstance(dense, nn.Linear) else MethodConvolution
    layer = kind(dense, Treatment(method, parse_pattern(pattern), mixed))  # type: ignore[arg-type]
    layer.make_masks(0)
    return layer


def through(module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(output, its gradient, gradient of the input, gradient of the weight) for a fixed output gradient."""
    x = x.clone().requires_grad_()
    y = module(x)
    module.zero_grad()
    gradient = torch.sin(torch.arange(y.numel(), dtype=torch.float32)).reshape(y.shape)
    y.backward(gradient)
    assert x.grad is not None
    return y.detach(), gradient, x.grad, module.get_parameter("weight").grad.clone()
