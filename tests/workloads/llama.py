"""A Llama-7B-shaped language model as a user could bring it: RMSNorm, rotary positions, SwiGLU; in plain torch.

Sizes are those of arXiv 2302.13971, table 2 (7B), with the vocabulary and the inner size of its released model.
Recorded by `simulate trace tests.workloads.llama:seven_billion --input 1x2048:32000 --shapes-only`.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

BASE = 10000.0  # of the rotary angles


class Attention(nn.Module):
    """Causal self-attention of (B, S, width) with rotary positions."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        query, key, value = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        y = scaled_dot_product_attention(turned(query, turn), turned(key, turn), value, is_causal=True)
        result: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return result


def angles(length: int, width: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary positions, (length, width)."""
    speeds = BASE ** (-torch.arange(0, width, 2) / width)
    angle = torch.outer(torch.arange(length), speeds).repeat(1, 2)
    return angle.cos(), angle.sin()


def turned(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """(B, heads, S, width), every pair of elements turned by the angle of its position."""
    left, right = x.chunk(2, -1)
    return x * turn[0] + torch.cat([-right, left], -1) * turn[1]


class Block(nn.Module):
    """Attention and a gated network, each behind a norm and beside a residual."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.norm1, self.attention = nn.RMSNorm(width), Attention(width, heads)
        self.norm2 = nn.RMSNorm(width)
        self.gate, self.up = (nn.Linear(width, inner, bias=False) for _ in range(2))
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        x = x + self.attention(self.norm1(x), turn)
        y = self.norm2(x)
        result: Tensor = x + self.down(silu(self.gate(y)) * self.up(y))
        return result


class Llama(nn.Module):
    """(B, S) tokens to (B, S, vocabulary) logits."""

    def __init__(self, width: int, layers: int, heads: int, inner: int, vocabulary: int) -> None:
        super().__init__()
        self.head_width = width // heads
        self.embedding = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(Block(width, heads, inner) for _ in range(layers))
        self.norm = nn.RMSNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        turn = angles(tokens.shape[1], self.head_width)
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, turn)
        result: Tensor = self.head(self.norm(x))
        return result


def seven_billion() -> Llama:
    """6.7 billion parameters: 27 GB in FP32, so only its shapes fit on most machines."""
    return Llama(4096, 32, 32, 11008, 32000)


def tiny() -> Llama:
    """The same network small enough to run."""
    return Llama(32, 2, 4, 88, 64)
