"""torch's own recurrent layers and attention."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tests.zoo.entry import Entry, Inputs, numbers

WIDTH, INNER, HEADS = 16, 24, 4
STEPS = 7


class Recurrent(nn.Module):
    """A recurrent layer between two linear ones, so that its input has a gradient too."""

    def __init__(self, layer: nn.Module, outputs: int = INNER) -> None:
        super().__init__()
        self.into, self.layer, self.out = nn.Linear(WIDTH, WIDTH), layer, nn.Linear(outputs, 5)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.out(self.layer(self.into(x))[0])
        return result


class Cells(nn.Module):
    """One recurrent cell, step by step: its weights are used again in every step."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(WIDTH, INNER)

    def forward(self, x: Tensor) -> Tensor:
        state = (x.new_zeros(len(x), INNER), x.new_zeros(len(x), INNER))
        for now in x.unbind(1):
            state = self.cell(now, state)
        return state[0]


class SelfAttention(nn.Module):
    """torch's attention of a sequence to itself, or to one of other widths."""

    def __init__(self, weights: bool, other: int | None = None) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True, kdim=other, vdim=other)
        self.weights = weights

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        y = x if y is None else y
        result: Tensor = self.attention(x, y, y, need_weights=self.weights)[0]
        return result


def _recurrent(layer: Callable[..., nn.Module], outputs: int = INNER, **options: object) -> Callable[[], nn.Module]:
    return lambda: Recurrent(layer(WIDTH, INNER, batch_first=True, **options), outputs)


def _encoder() -> nn.Module:
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(WIDTH, HEADS, 32, batch_first=True), 2)


def _decoder() -> nn.Module:
    return nn.TransformerDecoder(nn.TransformerDecoderLayer(WIDTH, HEADS, 32, batch_first=True), 2)


def _two(first: int, second: int, width: int = WIDTH) -> Callable[[int], Inputs]:
    """Two sequences."""
    return lambda batch: (torch.randn(batch, first, WIDTH), torch.randn(batch, second, width))


SEQUENCE = numbers(STEPS, WIDTH)
MODELS = (
    Entry("lstm", _recurrent(nn.LSTM), SEQUENCE),
    Entry("lstm-bidirectional", _recurrent(nn.LSTM, 2 * INNER, bidirectional=True, num_layers=2), SEQUENCE),
    Entry("lstm-projected", _recurrent(nn.LSTM, 8, proj_size=8), SEQUENCE),
    Entry("gru", _recurrent(nn.GRU, num_layers=2), SEQUENCE),
    Entry("gru-bidirectional", _recurrent(nn.GRU, 2 * INNER, bidirectional=True), SEQUENCE),
    Entry("rnn", _recurrent(nn.RNN), SEQUENCE),
    Entry("lstm-cell", Cells, SEQUENCE),
    Entry("attention", lambda: SelfAttention(weights=False), SEQUENCE),
    Entry("attention-weights", lambda: SelfAttention(weights=True), SEQUENCE),
    Entry("attention-cross", lambda: SelfAttention(weights=False, other=12), _two(STEPS, 5, 12)),
    Entry("transformer-encoder", _encoder, SEQUENCE),
    Entry("transformer-decoder", _decoder, _two(STEPS, 5)),
    Entry("transformer", lambda: nn.Transformer(WIDTH, HEADS, 1, 1, 32, batch_first=True), _two(5, STEPS)),
)
