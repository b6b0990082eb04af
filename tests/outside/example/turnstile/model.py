"""A model of its own: two convolutions and a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workloads.models.spec import DataKind, ModelSpec, Objective, Sizes
from workloads.op import Optimizer

if TYPE_CHECKING:
    from torch import nn


def make(sizes: Sizes) -> nn.Module:
    from torch import nn  # an extra: naming the model needs none of it

    wide = sizes.wide(16)
    return nn.Sequential(
        nn.Conv2d(3, wide, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(wide, wide, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(wide, sizes.classes),
    )


tiny_net = ModelSpec(
    name="tiny-net",
    make=make,
    sizes=Sizes(classes=10, image=16),
    data=DataKind.IMAGES,
    objective=Objective.CLASSIFY,
    optimizer=Optimizer.MOMENTUM,
    kept_dense=("0", "5"),
    batch=8,
)
