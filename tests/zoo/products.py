"""Layers whose products are not plain ones: with vectors, of three tensors, of complex numbers, of distances."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from tests.zoo.entry import Entry, Inputs, numbers

NODES, WIDTH = 10, 12


class Bilinear(nn.Module):
    """A bilinear layer of two tensors that both have a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(WIDTH, 8), nn.Linear(WIDTH, 6)
        self.both = nn.Bilinear(8, 6, 5)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.both(self.first(x), self.second(x))
        return result


class Quantised(nn.Module):
    """The nearest vectors of a code book, with gradients that pass it by."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.codes, self.out = nn.Linear(WIDTH, 8), nn.Embedding(32, 8), nn.Linear(8, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        y = self.into(x)
        near = self.codes(torch.cdist(y.detach().flatten(0, 1), self.codes.weight.detach()).argmin(-1)).view_as(y)
        result: Tensor = self.out(y + (near - y).detach() + (near - near.detach()))
        return result


class Centres(nn.Module):
    """Radial functions of the distances from learnt centres, which have a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.centres, self.out = nn.Linear(WIDTH, 8), nn.Parameter(torch.randn(32, 8)), nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.out((-torch.cdist(self.into(x).flatten(0, 1), self.centres)).exp())
        return result


class GraphAttention(nn.Module):
    """Attention over the nodes of a full graph: scores are sums of two products with a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.values = nn.Linear(WIDTH, WIDTH)
        self.source, self.target = nn.Parameter(torch.randn(WIDTH)), nn.Parameter(torch.randn(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        values = self.values(x)
        scores = (values @ self.source).unsqueeze(2) + (values @ self.target).unsqueeze(1)
        result: Tensor = functional.leaky_relu(scores).softmax(-1) @ values
        return result


class Fourier(nn.Module):
    """A Fourier operator: the low frequencies of an image, each mixed by a complex matrix of its own."""

    MODES = 3

    def __init__(self) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(3, WIDTH), nn.Linear(WIDTH, 1)
        self.mix = nn.Parameter(torch.randn(WIDTH, WIDTH, self.MODES, self.MODES, dtype=torch.cfloat))

    def forward(self, x: Tensor) -> Tensor:
        seen = torch.fft.rfft2(self.into(x).permute(0, 3, 1, 2))
        low = torch.einsum("bixy,ioxy->boxy", seen[..., : self.MODES, : self.MODES], self.mix)
        made = torch.zeros_like(seen)
        made[..., : self.MODES, : self.MODES] = low
        result: Tensor = self.out(torch.fft.irfft2(made, s=x.shape[1:3]).permute(0, 2, 3, 1))
        return result


class Attention(nn.Module):
    """Causal attention with fewer heads of keys than of queries."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.pair, self.out = nn.Linear(WIDTH, 16), nn.Linear(WIDTH, 16), nn.Linear(16, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x).unflatten(-1, (4, 4)).transpose(1, 2)
        key, value = self.pair(x).unflatten(-1, (2, 2, 4)).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        result: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return result


class Experts(nn.Module):
    """A mixture of experts by torch's grouped product: every row goes to the expert that likes it best."""

    EXPERTS = 4

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(WIDTH, self.EXPERTS)
        self.weight = nn.Parameter(torch.randn(self.EXPERTS, WIDTH, 16))

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, 1)
        weight, expert = self.router(rows).softmax(-1).max(-1)
        order = expert.argsort(stable=True)
        ends = torch.nn.functional.one_hot(expert, self.EXPERTS).sum(0).cumsum(0).int()
        made = functional.grouped_mm(rows[order], self.weight, offs=ends)
        result: Tensor = made * weight[order, None]
        return result


class Added(nn.Module):
    """Products that are added to something: of a batch, of a vector; and of two vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.start, self.vector = (
            nn.Linear(WIDTH, 6),
            nn.Parameter(torch.randn(6, 6)),
            nn.Parameter(torch.randn(6)),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.into(x)
        gram = torch.addbmm(self.start, y.mT, y)
        wide = torch.baddbmm(y, y, gram.expand(len(x), 6, 6))
        return wide * torch.dot(torch.addmv(self.vector, gram, self.vector), self.vector)


def _complex(batch: int) -> Inputs:
    return (torch.randn(batch, WIDTH, dtype=torch.cfloat),)


def _normed() -> nn.Module:
    return nn.Sequential(spectral_norm(nn.Linear(WIDTH, 16)), nn.ReLU(), spectral_norm(nn.Linear(16, 8)))


def _complex_layers() -> nn.Module:
    return nn.Sequential(nn.Linear(WIDTH, 8, dtype=torch.cfloat), nn.Linear(8, 4, dtype=torch.cfloat))


ROWS = numbers(NODES, WIDTH)
MODELS = (
    Entry("bilinear", Bilinear, ROWS),
    Entry("vector-quantised", Quantised, numbers(20, WIDTH)),
    Entry("radial", Centres, numbers(20, WIDTH)),
    Entry("graph-attention", GraphAttention, ROWS),
    Entry("added-products", Added, ROWS),
    Entry("spectral-norm", _normed, ROWS),
    Entry("fourier-operator", Fourier, numbers(8, 8, 3)),
    Entry("complex-linear", _complex_layers, _complex),
    Entry("attention-grouped", Attention, ROWS),
    Entry("experts", Experts, ROWS),
)
