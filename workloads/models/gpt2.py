"""GPT-2 small (Radford et al., "Language Models are Unsupervised Multitask Learners", table 2), its head tied."""

from typing import final

import torch
from torch import Tensor, nn

from workloads.models.spec import DataKind, ModelSpec, Objective, Sizes
from workloads.models.transformer import HEAD, PreNormBlock, initialise
from workloads.op import Optimizer

DEPTH = 12
EPSILON = 1e-5


@final
class Gpt2(nn.Module):
    """Tokens (B, S) to logits (B, S, vocabulary) of the token after each."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        channels = sizes.wide(768, multiple=HEAD)
        self.wte = nn.Embedding(sizes.classes, channels)
        self.wpe = nn.Embedding(sizes.sequence, channels)
        self.blocks = nn.Sequential(*(PreNormBlock(channels, EPSILON, causal=True, tanh=True) for _ in range(DEPTH)))
        self.norm = nn.LayerNorm(channels, eps=EPSILON)
        self.head = nn.Linear(channels, sizes.classes, bias=False)
        initialise(self)
        self.head.weight = self.wte.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        result: Tensor = self.head(self.norm(self.blocks(x)))
        return result


gpt2_small = ModelSpec(
    name="gpt2-small",
    make=Gpt2,
    sizes=Sizes(classes=50257, sequence=1024),
    data=DataKind.BYTES,
    objective=Objective.NEXT,
    optimizer=Optimizer.ADAMW,
    kept_dense=("head",),
    batch=8,
    sequence=1024,
    learning_rate=3e-4,
)
