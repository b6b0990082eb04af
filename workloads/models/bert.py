"""BERT base and large (arXiv 1810.04805) with their masked-token head, whose product shares the token embedding.

The head is there to train with: inference is the encoder alone.
"""

from collections import OrderedDict
from functools import partial
from typing import final

import torch
from torch import Tensor, nn

from workloads.models.spec import DataKind, ModelSpec, Objective, Sizes
from workloads.models.transformer import HEAD, PostNormBlock, initialise
from workloads.op import Optimizer

EPSILON = 1e-12


@final
class Embeddings(nn.Module):
    """Token, position and segment embeddings, summed and normalised: (B, S) integers to (B, S, channels)."""

    def __init__(self, sizes: Sizes, channels: int) -> None:
        super().__init__()
        self.token = nn.Embedding(sizes.classes, channels)
        self.position = nn.Embedding(sizes.sequence, channels)
        self.segment = nn.Embedding(2, channels)
        self.norm = nn.LayerNorm(channels, eps=EPSILON)

    def forward(self, tokens: Tensor) -> Tensor:
        positions = self.position(torch.arange(tokens.shape[1]))
        result: Tensor = self.norm(self.token(tokens) + positions + self.segment(torch.zeros_like(tokens)))
        return result


@final
class MaskedHead(nn.Sequential):
    """Logits for every position: linear, GELU, norm, and the product with the token embedding."""

    def __init__(self, sizes: Sizes, channels: int, embedding: nn.Embedding) -> None:
        transform, decoder = nn.Linear(channels, channels), nn.Linear(channels, sizes.classes)
        decoder.weight = embedding.weight
        norm = nn.LayerNorm(channels, eps=EPSILON)
        super().__init__(OrderedDict(transform=transform, gelu=nn.GELU(), norm=norm, decoder=decoder))


@final
class Bert(nn.Module):
    """Tokens (B, S) to logits (B, S, vocabulary)."""

    def __init__(self, sizes: Sizes, channels: int, depth: int) -> None:
        super().__init__()
        channels = sizes.wide(channels, multiple=HEAD)
        self.embeddings = Embeddings(sizes, channels)
        self.layers = nn.Sequential(*(PostNormBlock(channels, EPSILON) for _ in range(depth)))
        self.head = MaskedHead(sizes, channels, self.embeddings.token)
        initialise(self)

    def forward(self, tokens: Tensor) -> Tensor:
        result: Tensor = self.head(self.layers(self.embeddings(tokens)))
        return result


def _spec(name: str, channels: int, depth: int) -> ModelSpec:
    return ModelSpec(
        name=name,
        make=partial(Bert, channels=channels, depth=depth),
        sizes=Sizes(classes=30522, sequence=512),
        data=DataKind.BYTES,
        objective=Objective.MASKED,
        optimizer=Optimizer.ADAMW,
        kept_dense=("head.transform", "head.decoder"),
        training_only=("head.*",),
        batch=32,
        sequence=128,
        learning_rate=1e-4,
    )


bert_base = _spec("bert-base", channels=768, depth=12)
bert_large = _spec("bert-large", channels=1024, depth=24)
