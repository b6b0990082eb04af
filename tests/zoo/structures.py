"""Modules that are wired unusually: weights used twice, computed or broadcast, steps inside steps."""

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from tests.zoo.entry import Entry, Inputs, numbers

WIDTH, WORDS, NODES = 12, 32, 10


class Transposed(nn.Module):
    """A linear layer along the axis before the last one: torch expands its weight over the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.along, self.across = nn.Linear(NODES, 16), nn.Linear(WIDTH, 8)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.across(self.along(x.transpose(1, 2)).transpose(1, 2))
        return result


class Tied(nn.Module):
    """A language model whose last layer multiplies by the embedding, and runs its one block twice."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.block = nn.Embedding(WORDS, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, WORDS, bias=False)
        self.out.weight = self.words.weight

    def forward(self, ids: Tensor) -> Tensor:
        result: Tensor = self.out(self.block(self.block(self.words(ids)).tanh()).tanh())
        return result


class Forces(nn.Module):
    """An energy and its gradient for the places of the atoms, both of which are learnt."""

    def __init__(self) -> None:
        super().__init__()
        self.energy = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1))

    def forward(self, places: Tensor) -> Tensor:
        places = places.detach().requires_grad_()
        energy = self.energy(places)
        (force,) = torch.autograd.grad(energy.sum(), places, create_graph=True)
        return torch.cat([energy, force], -1)


class PerSample(nn.Module):
    """The gradient of every example by itself, by torch.func."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(WIDTH, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> Tensor:
        weights: dict[str, Tensor] = {**dict(self.net.named_parameters())}

        def loss(given: dict[str, Tensor], one: Tensor) -> Tensor:
            made: Tensor = functional_call(self.net, given, (one,))
            return made.square().sum()

        found = vmap(grad(loss), in_dims=(None, 0))(weights, x)
        return torch.cat([each.flatten(1) for each in found.values()], 1)


class Checkpointed(nn.Module):
    """Blocks that are computed again inside the backward pass."""

    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.into, self.reentrant = nn.Linear(WIDTH, WIDTH), reentrant
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, 24), nn.GELU(), nn.Linear(24, WIDTH)) for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.into(x)
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=self.reentrant)
        return x


class GraphNetwork(nn.Module):
    """Messages along the edges of a ring, added up at the nodes."""

    source: Tensor
    target: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.message, self.update = nn.Linear(2 * WIDTH, 16), nn.Linear(WIDTH + 16, WIDTH)
        self.register_buffer("source", torch.arange(NODES).repeat(2))
        self.register_buffer("target", torch.cat([(torch.arange(NODES) + step) % NODES for step in (1, -1)]))

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(2):
            ends = torch.cat([x[:, self.source], x[:, self.target]], -1)
            got = x.new_zeros(*x.shape[:2], 16).index_add(1, self.target, functional.relu(self.message(ends)))
            x = x + self.update(torch.cat([x, got], -1))
        return x


class Hyper(nn.Module):
    """A network that computes the weights of another, a set for every example."""

    def __init__(self) -> None:
        super().__init__()
        self.made = nn.Linear(WIDTH, WIDTH * 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.bmm(x, self.made(x.mean(1)).unflatten(-1, (WIDTH, 4)))


class OneVector(nn.Module):
    """Linear layers of a vector without a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(WIDTH, 8), nn.Linear(8, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.second(self.first(x.mean((0, 1))).tanh())
        return result


class Bags(nn.Module):
    """Sums of embeddings by bag, weighted, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.bags, self.out = nn.EmbeddingBag(WORDS, WIDTH, mode="sum"), nn.Linear(WIDTH, 4)

    def forward(self, ids: Tensor) -> Tensor:
        result: Tensor = self.out(self.bags(ids))
        return result


def _halves() -> nn.Module:
    return nn.Sequential(nn.Linear(WIDTH, 16), nn.GELU(), nn.LayerNorm(16), nn.Linear(16, 4)).to(torch.bfloat16)


def _half(batch: int) -> Inputs:
    return (torch.randn(batch, NODES, WIDTH, dtype=torch.bfloat16),)


def _ids(batch: int) -> Inputs:
    return (torch.randint(WORDS, (batch, NODES)),)


ROWS = numbers(NODES, WIDTH)
MODELS = (
    Entry("linear-transposed", Transposed, ROWS),
    Entry("tied", Tied, _ids),
    Entry("forces", Forces, numbers(NODES, 3)),
    Entry("per-sample-gradients", PerSample, numbers(WIDTH)),
    Entry("checkpoint", lambda: Checkpointed(reentrant=False), ROWS),
    Entry("checkpoint-reentrant", lambda: Checkpointed(reentrant=True), ROWS),
    Entry("graph-network", GraphNetwork, ROWS),
    Entry("hyper-network", Hyper, ROWS),
    Entry("linear-vector", OneVector, ROWS),
    Entry("embedding-bag", Bags, _ids),
    Entry("bf16", _halves, _half),
)
