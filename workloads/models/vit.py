"""Vision transformers with 16x16 patches (arXiv 2010.11929, table 1; the small one is arXiv 2012.12877's)."""

from functools import partial
from typing import final

import torch
from torch import Tensor, nn

from workloads.models.spec import DataKind, ModelSpec, Objective, Sizes
from workloads.models.transformer import HEAD, PreNormBlock, initialise
from workloads.op import Optimizer

PATCH = 16
DEPTH = 12


@final
class VisionTransformer(nn.Module):
    """Images (B, 3, H, W) of the size it was built for to logits (B, classes)."""

    def __init__(self, sizes: Sizes, channels: int) -> None:
        super().__init__()
        channels = sizes.wide(channels, multiple=HEAD)
        patches = (sizes.image // PATCH) ** 2
        self.patch_embed = nn.Conv2d(3, channels, PATCH, PATCH)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.pos_embed = nn.Parameter(torch.randn(1, patches + 1, channels) * 0.02)
        self.blocks = nn.Sequential(*(PreNormBlock(channels, 1e-6) for _ in range(DEPTH)))
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.head = nn.Linear(channels, sizes.classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x).flatten(2).mT
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embed
        result: Tensor = self.head(self.norm(self.blocks(x))[:, 0])
        return result


vit_s = ModelSpec(
    name="vit-s",
    make=partial(VisionTransformer, channels=384),
    sizes=Sizes(classes=1000, image=224),
    data=DataKind.IMAGES,
    objective=Objective.CLASSIFY,
    optimizer=Optimizer.ADAMW,
    kept_dense=("patch_embed", "head"),
    batch=64,
    learning_rate=3e-4,
)
vit_b = ModelSpec(
    name="vit-b",
    make=partial(VisionTransformer, channels=768),
    sizes=Sizes(classes=1000, image=224),
    data=DataKind.IMAGES,
    objective=Objective.CLASSIFY,
    optimizer=Optimizer.ADAMW,
    kept_dense=("patch_embed", "head"),
    batch=64,
    learning_rate=1e-4,
)
