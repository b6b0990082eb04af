"""The parts the transformers here share: attention written as products, the feed-forward part, and the two orders."""

from collections import OrderedDict
from typing import final

import torch
from torch import Tensor, nn

HEAD = 64  # channels of one head, in every model here


@final
class MatMul(nn.Module):
    """A product of two activations, as a module so that it has a name: (B, heads, r, k) by (B, heads, k, c)."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left @ right


@final
class Attention(nn.Module):
    """Multi-head self-attention over (B, S, channels); `causal` hides what comes after (arXiv 1706.03762)."""

    def __init__(self, channels: int, causal: bool = False) -> None:
        super().__init__()
        self.heads = channels // HEAD
        self.causal = causal
        self.qkv = nn.Linear(channels, 3 * channels)
        self.scores = MatMul()
        self.softmax = nn.Softmax(dim=-1)
        self.mix = MatMul()
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        batch, sequence, channels = x.shape
        query, key, value = self.qkv(x).view(batch, sequence, 3, self.heads, HEAD).permute(2, 0, 3, 1, 4).unbind()
        scores = self.scores(query * HEAD**-0.5, key.mT)
        if self.causal:
            scores = scores + torch.full((sequence, sequence), -torch.inf).triu(1)
        mixed = self.mix(self.softmax(scores), value)
        result: Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, sequence, channels))
        return result


@final
class FeedForward(nn.Sequential):
    """Two linear layers with GELU between, four times as wide inside."""

    def __init__(self, channels: int, tanh: bool = False) -> None:
        gelu = nn.GELU(approximate="tanh" if tanh else "none")
        wide, narrow = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        super().__init__(OrderedDict(fc1=wide, gelu=gelu, fc2=narrow))


@final
class PreNormBlock(nn.Module):
    """Norm first, as in ViT and GPT-2: x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, channels: int, epsilon: float, causal: bool = False, tanh: bool = False) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=epsilon)
        self.attn = Attention(channels, causal)
        self.norm2 = nn.LayerNorm(channels, eps=epsilon)
        self.mlp = FeedForward(channels, tanh)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


@final
class PostNormBlock(nn.Module):
    """Norm last, as in BERT: norm(x + attention(x)), then norm(x + mlp(x))."""

    def __init__(self, channels: int, epsilon: float) -> None:
        super().__init__()
        self.attn = Attention(channels)
        self.norm1 = nn.LayerNorm(channels, eps=epsilon)
        self.mlp = FeedForward(channels)
        self.norm2 = nn.LayerNorm(channels, eps=epsilon)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(x + self.attn(x))
        result: Tensor = self.norm2(x + self.mlp(x))
        return result


def initialise(model: nn.Module) -> None:
    """Normal weights of deviation 0.02 and zero biases, as BERT and GPT-2 start."""
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
