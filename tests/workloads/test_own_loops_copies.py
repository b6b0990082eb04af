"""Every method in a training loop of a user's own: copies, averages, checkpoints and plain models of it."""

import io
from copy import deepcopy

import pytest
import torch
from torch import Tensor

from tests.workloads.loops import (
    DECAY,
    METHOD_NAMES,
    Loop,
    Network,
    assert_same,
    batch,
    copied,
    counters,
    own_loss,
    put_on,
    sparse_network,
    weights_of,
)
from workloads import finalize
from workloads.methods.base import MaskUse
from workloads.methods.fields import load_method

every_method = pytest.mark.parametrize("name", METHOD_NAMES)


@every_method
def test_a_copy_trains_on_as_the_original(name: str) -> None:
    loop = Loop(sparse_network(name)).run(2)
    twin = deepcopy(loop)
    before = copied(twin.model)
    loop.run(2)
    assert_same(before, copied(twin.model))
    twin.run(2)
    assert_same(copied(loop.model), copied(twin.model))
    assert counters(twin.model) == {4}


@every_method
def test_the_average_of_weights_follows_its_formula_and_has_the_masks_of_the_model(name: str) -> None:
    model = sparse_network(name)
    loop = Loop(model)
    wanted: dict[str, Tensor] = {}
    for _ in range(3):
        loop.run(1)
        for parameter, value in model.named_parameters():
            now = value.detach()
            wanted[parameter] = wanted[parameter] * DECAY + now * (1 - DECAY) if parameter in wanted else now.clone()
    average = loop.average.module
    for parameter, value in average.named_parameters():
        torch.testing.assert_close(value.detach(), wanted[parameter])
    assert_same(dict(model.named_buffers()), dict(average.named_buffers()))
    assert counters(average) == {3}
    x = batch(50)[0]
    if load_method(name).mask_use is MaskUse.OPERANDS:
        torch.testing.assert_close(average(x), finalize(average)(x))


@pytest.mark.parametrize(
    ("name", "half"), [*((name, False) for name in METHOD_NAMES), ("bdwp", True), ("mdgf", True), ("sdgp", True)]
)
def test_activation_checkpoints_change_no_bit(name: str, half: bool) -> None:
    plain = Loop(sparse_network(name), half).run(2)
    for reentrant in (False, True):
        saved = Loop(sparse_network(name, reentrant=reentrant), half).run(2)
        assert_same(copied(plain.model), copied(saved.model))


@every_method
def test_evaluation_is_the_same_with_gradients_and_without(name: str) -> None:
    model = sparse_network(name)
    Loop(model).run(2)
    x = batch(50)[0]
    trained = model(x).detach()
    model.eval()
    with_gradients = model(x).detach()
    with torch.no_grad():
        without = model(x)
    with torch.inference_mode():
        inferred = model(x)
    assert torch.equal(with_gradients, trained)
    torch.testing.assert_close(without, trained)  # attention takes torch's fast path, with its own order of additions
    assert torch.equal(inferred, without)


@every_method
def test_a_resumed_loop_is_bit_exact(name: str) -> None:
    loop = Loop(sparse_network(name)).run(2)
    file = io.BytesIO()
    torch.save(loop.state(), file)
    file.seek(0)
    again = Loop(sparse_network(name, seed=99)).resume(torch.load(file), loop.done)
    assert_same(copied(loop.model), copied(again.model))
    loop.run(2)
    again.run(2)
    assert_same(copied(loop.model), copied(again.model))
    assert counters(again.model) == {4}


@every_method
def test_a_finalized_model_is_a_dense_one_with_the_masks_in_its_weights(name: str) -> None:
    model = sparse_network(name)
    Loop(model).run(3)
    file = io.BytesIO()
    torch.save(finalize(model).state_dict(), file)
    file.seek(0)
    plain = Network()
    plain.load_state_dict(torch.load(file), strict=True)
    for layer, weight in weights_of(model).items():
        parameter = f"{layer}_weight" if layer.endswith("in_proj") else f"{layer}.weight"
        held = weight.buffer("ff")
        wanted = weight.master if held is None else weight.master * held
        assert torch.equal(plain.get_parameter(parameter), wanted), layer
    x = batch(50)[0]
    if load_method(name).mask_use is not MaskUse.DECAY:
        assert torch.equal(plain(x), model(x))
    assert not any("mask" in key for key in plain.state_dict())
    assert own_loss(plain).requires_grad and {type(each).__module__ for each in plain.modules()} == {
        type(each).__module__ for each in Network().modules()
    }


@pytest.mark.parametrize("name", ["bdwp", "srste", "adams"])
def test_a_finalized_model_gets_a_method_again(name: str) -> None:
    model = sparse_network(name)
    plain = finalize(model)
    put_on(plain, name)
    assert set(weights_of(plain)) == set(weights_of(model)) and type(plain.hidden) is type(model.hidden)
