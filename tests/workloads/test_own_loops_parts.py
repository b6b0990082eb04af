"""Parts of a model in loops of users: of several optimizers, frozen, without a gradient, with one weight for two."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from tests.workloads.loops import (
    METHOD_NAMES,
    Loop,
    Network,
    assert_same,
    batch,
    copied,
    counters,
    largest,
    own_loss,
    put_on,
    sparse_network,
    weights_of,
)
from workloads import finalize, load_masks, save_masks, sparsify


def test_optimizers_of_parts_count_each_their_own_steps() -> None:
    model = sparse_network("srste")
    inside = list(model.encoder.parameters())
    known = {id(each) for each in inside}
    outside = [each for each in model.parameters() if id(each) not in known]
    often, seldom = torch.optim.SGD(outside, lr=0.1), torch.optim.AdamW(inside, lr=0.01)
    for at in range(4):
        own_loss(model, at).backward()
        before = of_encoder(model)
        often.step()
        assert_same(before, of_encoder(model))
        if at % 2:
            seldom.step()
            seldom.zero_grad()
        often.zero_grad()
    steps = {name: weight.step for name, weight in weights_of(model).items()}
    assert steps == {name: 2 if name.startswith("encoder.") else 4 for name in steps}


@pytest.mark.parametrize("owned", [False, True], ids=["of no optimizer", "of the optimizer"])
@pytest.mark.parametrize("name", METHOD_NAMES)
def test_frozen_layers_keep_their_weights_and_first_masks(name: str, owned: bool) -> None:
    model = sparse_network(name)
    model.encoder.requires_grad_(False)
    frozen = of_encoder(model)
    trained = [each for each in model.parameters() if owned or each.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.05)
    for at in range(4):
        optimizer.zero_grad()
        own_loss(model, at).backward()
        optimizer.step()
    assert_same(frozen, of_encoder(model))
    assert weights_of(model)["encoder.linear1"].step == 0 and weights_of(model)["hidden"].step == 4


@pytest.mark.parametrize("name", METHOD_NAMES)
def test_layers_without_a_gradient_keep_their_weights_and_count_on(name: str) -> None:
    model = sparse_network(name)
    frozen = {each: value.detach().clone() for each, value in model.encoder.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    for at in range(3):
        optimizer.zero_grad()
        x, target = batch(at)
        pooled = torch.relu(model.conv(x)).flatten(2).mean(2)  # leaves the encoder out
        cross_entropy(model.head(torch.relu(model.hidden(pooled))), target).backward()
        optimizer.step()
    assert_same(frozen, {each: value.detach() for each, value in model.encoder.named_parameters()})
    assert counters(model) == {3}


def test_layers_that_thaw_are_trained_from_then_on() -> None:
    model = sparse_network("srste")
    model.encoder.requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for at in range(4):
        model.encoder.requires_grad_(at >= 2)
        optimizer.zero_grad()
        own_loss(model, at).backward()
        optimizer.step()
    layer = model.encoder.linear1
    assert torch.equal(layer.mask_ff, largest(layer.weight.detach(), 1)) and int(layer.mask_step) == 2
    assert int(model.hidden.mask_step) == 4


def of_encoder(model: nn.Module) -> dict[str, Tensor]:
    return {name: each for name, each in copied(model).items() if name.startswith("encoder.")}


class Shared(nn.Module):
    """Two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(16, 16, bias=False), nn.Linear(16, 16, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.second(torch.relu(self.first(x)))
        return result


def test_a_weight_of_two_layers_decays_once_and_has_one_mask_value() -> None:
    torch.manual_seed(2)
    model, decay, rate = Shared(), 0.5, 0.25
    sparsify(model, "srste", "2:4", numbers={"decay": decay})
    x, weight = torch.randn(5, 16), model.first.weight.detach().clone()
    kept = largest(weight, 1)
    by_hand = weight.clone().requires_grad_()
    seen = by_hand + (weight * kept - by_hand).detach()
    linear(torch.relu(linear(x, seen)), seen).square().sum().backward()
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    model(x).square().sum().backward()
    optimizer.step()
    assert by_hand.grad is not None
    torch.testing.assert_close(model.first.weight.detach(), weight - rate * (by_hand.grad + decay * weight * ~kept))
    for layer in (model.first, model.second):
        assert torch.equal(layer.mask_ff, largest(model.first.weight.detach(), 1)) and int(layer.mask_step) == 1
    plain = finalize(model)
    assert plain.first.weight is plain.second.weight and torch.equal(plain(x), model(x))


def test_masks_of_a_file_are_those_that_were_saved(tmp_path: Path) -> None:
    for name in METHOD_NAMES:
        if name == "sdgp":
            continue
        loop = Loop(sparse_network(name)).run(3)
        save_masks(loop.model, tmp_path / name)
        again = sparse_network(name, seed=9)
        load_masks(again, tmp_path / name)
        assert_same(dict(loop.model.named_buffers()), dict(again.named_buffers()))
        assert counters(again) == {3}


def test_two_models_are_trained_in_turn() -> None:
    models = [sparse_network("srste", seed) for seed in (1, 2)]
    both = torch.optim.SGD([each for model in models for each in model.parameters()], lr=0.1)
    first = torch.optim.SGD(models[0].parameters(), lr=0.1)
    (own_loss(models[0]) + own_loss(models[1])).backward()
    both.step()
    first.step()
    assert [counters(model) for model in models] == [{2}, {1}]


def test_a_model_that_is_put_on_after_its_optimizer_was_made_is_seen() -> None:
    model = Network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    put_on(model, "bdwp")
    own_loss(model).backward()
    optimizer.step()
    assert counters(model) == {1} and model(batch(0)[0]).shape == (4, 8)
