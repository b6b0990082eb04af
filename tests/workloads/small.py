"""A small network, and layers by themselves, under any method."""

from collections.abc import Iterator
from copy import deepcopy
from typing import final

import torch
from torch import Tensor, nn

from workloads.methods.base import Method
from workloads.op import Phase
from workloads.pattern import parse_pattern, parse_patterns
from workloads.recording.products import Product
from workloads.sparsity.masked_weight import MaskedWeight, masked_weights, masked_weights_of
from workloads.sparsity.sparsify import Asked, put
from workloads.training.data import digits
from workloads.training.flips import MaskState, masks_of
from workloads.training.loop import LossScale, Recipe, Training
from workloads.training.updates import AdamW, Momentum, Update

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
    return products_and_masks_after(run, steps)[0]


def products_and_masks_after(run: Training, steps: int) -> tuple[dict[tuple[str, Phase], Product], MaskState]:
    """The same, with the masks of that step."""
    data, seen = batches(), {}
    for _ in range(steps):
        run.run_step(next(data))
    masks = masks_of(run.model)
    run.record_step(next(data), lambda product: seen.update({(product.op.layer, product.op.phase): product}))
    return seen, masks


def treated(dense: nn.Module, method: Method, pattern: str = "2:4", mixed: bool = False) -> MaskedWeight:
    """The weight of a copy of a layer under a method, with the masks of step 0."""
    model = nn.Sequential(deepcopy(dense))
    put(model, Asked(method, lambda _: parse_pattern(pattern), mixed=mixed))
    return next(weight for _, weight in masked_weights(model))


def weight_of(model: nn.Module, layer: str) -> MaskedWeight:
    """A layer's weight that is sparse."""
    return next(masked_weights_of(model.get_submodule(layer)))


def through(module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(output, its gradient, gradient of the input, gradient of the weight) for a fixed output gradient."""
    x = x.clone().requires_grad_()
    y = module(x)
    module.zero_grad()
    gradient = torch.sin(torch.arange(y.numel(), dtype=torch.float32)).reshape(y.shape)
    y.backward(gradient)
    assert x.grad is not None
    return y.detach(), gradient, x.grad, module.get_parameter("weight").grad.clone()
