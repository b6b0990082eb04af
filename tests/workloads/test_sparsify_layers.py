"""Layers of every kind under a method: each phase has a weight of its own, and what cannot have one is refused."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from tests.workloads.test_sparsify import SEQUENCE, encoder
from workloads import sparsify
from workloads.errors import UserError
from workloads.sparsity.masked_weight import masked_weights


class Scaled(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 2


class Standardised(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight - self.weight.mean(), self.bias)


WINDOWED = {
    "own forward": (lambda: Scaled(16, 24), (4, 16)),
    "same": (lambda: nn.Conv2d(8, 16, 3, padding="same"), (2, 8, 6, 6)),
    "circular": (lambda: nn.Conv1d(8, 16, 3, padding=1, padding_mode="circular"), (2, 8, 12)),
    "transposed": (lambda: nn.ConvTranspose2d(8, 16, 3, stride=2, groups=2), (2, 8, 5, 5)),
    "transposed, one axis": (lambda: nn.ConvTranspose1d(8, 16, 3, output_padding=1, stride=2), (2, 8, 5)),
}


@pytest.mark.parametrize("kind", WINDOWED)
def test_layers_of_every_kind_use_a_weight_of_their_own_in_each_phase(kind: str) -> None:
    make, shape = WINDOWED[kind]
    torch.manual_seed(4)
    dense, x = make(), torch.randn(shape)
    sparse = copy.deepcopy(dense)
    sparsify(sparse, "bdwp", "2:4")
    ahead, back = next(masked_weights(sparse))[1].weights()
    results = []
    for model, weight in ((sparse, None), (dense, ahead), (dense, back), (dense, dense.weight.detach().clone())):
        other = copy.deepcopy(model)
        if weight is not None:
            other.weight.data = weight
        at = x.clone().requires_grad_()
        y = other(at)
        y.backward(torch.sin(torch.arange(y.numel(), dtype=torch.float32)).reshape(y.shape))
        results.append((y, at.grad, other.weight.grad))
    (y, dx, dw), of_ahead, of_back, of_dense = results
    assert torch.equal(y, of_ahead[0]) and torch.equal(dx, of_back[1]) and torch.equal(dw, of_dense[2])
    assert not torch.equal(of_ahead[1], of_back[1])


def test_a_transposed_convolution_takes_the_size_of_its_output() -> None:
    layer = nn.ConvTranspose2d(8, 16, 3, stride=2)
    sparsify(layer, "bdwp", "2:4")
    assert layer(torch.randn(1, 8, 5, 5), output_size=(12, 12)).shape == (1, 16, 12, 12)


def test_a_layer_that_changes_its_weight_first_is_refused() -> None:
    layer = Standardised(16, 16)
    sparsify(layer, "bdwp", "2:8")
    with pytest.raises(
        UserError, match="layer 'model': does not multiply by its weight as it is, so no mask of it would hold"
    ):
        layer(torch.randn(2, 16, requires_grad=True))


def test_methods_that_prune_gradients_are_refused_where_only_weights_are_exchanged() -> None:
    with pytest.raises(
        UserError, match=r"layer 'layers\.0\.self_attn\.in_proj': a MultiheadAttention as this one runs"
    ):
        sparsify(encoder(), "sdgp", "2:8")
    model = encoder()
    sparsify(model, "sdgp", "2:8", exclude=["*.in_proj"])
    with pytest.raises(UserError, match="another module reads its weight, where method 'sdgp' cannot prune"):
        model(SEQUENCE)


@pytest.mark.parametrize("spoil", [nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm])
def test_weights_that_others_make_are_refused(spoil: object) -> None:
    with pytest.raises(UserError, match="layer 'model': its weight is made by another tool, of other parameters"):
        sparsify(spoil(nn.Linear(16, 16)), "bdwp", "2:8")  # type: ignore[operator]
    layer = nn.Linear(16, 16)
    sparsify(layer, "bdwp", "2:8")
    with pytest.raises(
        UserError, match="layer 'model': its parameter 'weight' is not there any more: another tool took it"
    ):
        nn.utils.prune.identity(layer, "weight")
    with pytest.raises(UserError, match="layer 'model': its weight has no size yet; run the model once before"):
        sparsify(nn.LazyLinear(8), "bdwp", "2:8")
