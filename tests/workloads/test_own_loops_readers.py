"""Weights that another module reads: refused at the step, and masked where that module is named."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from tests.workloads.loops import counters, largest, weights_of
from workloads import sparsify
from workloads.errors import UserError


class Reading(nn.Module):
    """Multiplies by the weight of a layer inside, whose own forward pass never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Linear(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.inside.weight, self.inside.bias)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), Reading())


def test_a_weight_that_only_an_unknown_parent_reads_is_refused_at_the_step() -> None:
    model = network()
    sparsify(model, "bdwp", "2:4")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(4, 8)).square().mean().backward()
    before = model[1].inside.weight.detach().clone()
    with pytest.raises(
        UserError, match=r"layer '1.inside': was made sparse and trains, .* in readers= of sparsify, .* in exclude="
    ):
        optimizer.step()
    assert torch.equal(model[1].inside.weight, before) and counters(model) == {0}


def test_one_step_with_a_closure_is_enough_to_refuse_it() -> None:
    model = network()
    sparsify(model, "bdwp", "2:4")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = model(torch.randn(4, 8)).square().mean()
        loss.backward()
        return loss

    with pytest.raises(UserError, match=r"in readers= of sparsify"):
        optimizer.step(closure)


@pytest.mark.parametrize("cure", ["readers", "exclude"])
def test_naming_the_parent_as_a_reader_or_leaving_the_layer_out_cures_it(cure: str) -> None:
    model = network()
    made = sparsify(model, "bdwp", "2:4", **{cure: ["1" if cure == "readers" else "1.inside"]})
    assert made == (["0", "1.inside"] if cure == "readers" else ["0"])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(4, 8)).square().mean().backward()
    optimizer.step()
    assert counters(model) == {1} and set(weights_of(model)) == set(made)


def test_a_named_reader_multiplies_by_the_masked_weights() -> None:
    model = network()
    sparsify(model, "bdwp", "2:4", readers=["1"])
    weight = model[1].inside.weight.detach()
    x, sent = torch.randn(4, 16, requires_grad=True), torch.randn(4, 8)
    y = model[1](x)
    assert torch.equal(y, linear(x, weight * largest(weight, 1), model[1].inside.bias))
    dx, dw = torch.autograd.grad(y, (x, model[1].inside.weight), sent)
    assert torch.equal(dx, sent @ (weight * largest(weight, 0)))
    assert torch.equal(dw, sent.mT @ x)


def test_a_reader_under_sdgp_is_refused_where_its_gradient_would_have_to_be_pruned() -> None:
    model = network()
    sparsify(model, "sdgp", "2:4", readers=["1"])
    x = torch.randn(4, 8)
    with torch.no_grad():
        held = model(x)
    assert torch.equal(held, linear(model[0](x), model[1].inside.weight, model[1].inside.bias))
    with pytest.raises(UserError, match=r"layer '1.inside': .* 'sdgp' cannot prune the gradient"):
        model(x)
