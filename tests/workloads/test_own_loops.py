"""Every method in a training loop of a user's own: what its masks are, what is multiplied, what a copy of it is."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear

from tests.workloads.loops import (
    ATTENTION,
    METHOD_NAMES,
    STEPS,
    Loop,
    Network,
    batch,
    copied,
    counters,
    largest,
    most_of_four,
    sparse_network,
    through,
    weights_of,
)
from workloads import finalize, sparsify
from workloads.errors import UserError
from workloads.methods.base import Axis, Known, MaskUse
from workloads.methods.fields import load_method
from workloads.methods.ste import STE
from workloads.op import Role
from workloads.pattern import Pattern
from workloads.sparsity.masked_weight import MaskedWeight

LAYERS = {
    "conv",
    "encoder.self_attn.in_proj",
    "encoder.self_attn.out_proj",
    "encoder.linear1",
    "encoder.linear2",
    "hidden",
    "head",
}
BY_MAGNITUDE = {  # where the largest two of every 4 are kept when the run is over: FF along inputs, BP along outputs
    "adams": (1, 1),
    "bdwp": (1, 0),
    "mdgf": (1, 1),
    "sdgf": (1, 1),
    "sdwp": (None, 0),
    "srste": (1, 1),
    "ste": (1, 1),
}
every_method = pytest.mark.parametrize("name", METHOD_NAMES)


def test_every_method_can_be_put_on_a_model_and_dense_is_refused() -> None:
    assert len(METHOD_NAMES) == 14
    with pytest.raises(UserError, match="method 'dense': keeps every weight"):
        sparsify(Network(), "dense", "2:4")
    for name in ("adams", "bank", "mdgf", "sdgf", "srigl"):
        with pytest.raises(UserError, match=f"method '{name}': has a schedule; say total_steps="):
            sparsify(Network(), name, "fan-in 8" if name == "srigl" else "2:4")


def test_sdgp_refuses_modules_that_run_their_own_forward_pass() -> None:
    with pytest.raises(UserError, match=r"layer 'encoder.self_attn.in_proj': a MultiheadAttention .* method 'sdgp'"):
        sparsify(Network(), "sdgp", "2:4")


@every_method
def test_masks_hold_the_pattern_where_the_method_says_so(name: str) -> None:
    model = sparse_network(name)
    before = {layer: weight.master.detach().clone() for layer, weight in weights_of(model).items()}
    Loop(model).run(STEPS)
    weights, method = weights_of(model), load_method(name)
    assert set(weights) == LAYERS - {f"{ATTENTION}.in_proj", f"{ATTENTION}.out_proj"} if name == "sdgp" else LAYERS
    assert counters(model) == {STEPS}
    for layer, weight in weights.items():
        values = weight.master.detach()
        assert not torch.equal(values, before[layer])
        if weight.masks is None:
            assert name == "sdgp" and weight.buffer_names == ["mask_step", "mask_of"]
            continue
        ahead, back, order = weight.masks.forward, weight.masks.backward, weight.masks.permutation
        assert ahead.dtype is back.dtype is torch.bool
        if name == "srigl":
            assert set(ahead.flatten(1).sum(1).tolist()) == {8}
            continue
        for operand in method.sparse:
            assert operand.role is Role.WEIGHT
            kept = ahead if operand.axis is Axis.INPUT_CHANNELS else back
            if operand.permuted:
                assert order is not None
                kept = kept[order[0]]
            assert most_of_four(kept, 0 if operand.axis is Axis.OUTPUT_CHANNELS else 1) == 2
        if name in BY_MAGNITUDE:
            for mask, axis in zip((ahead, back), BY_MAGNITUDE[name], strict=True):
                assert torch.equal(mask, torch.ones_like(mask) if axis is None else largest(values, axis))


@every_method
def test_a_linear_layer_multiplies_by_its_masked_weights(name: str) -> None:
    model = sparse_network(name)
    Loop(model).run(3)
    weight, x = weights_of(model)["hidden"], torch.randn(6, 16)
    ahead, back = masked_by_hand(model, "hidden")
    y, sent, dx, dw = through(model.hidden, x)
    pruned = torch.where(largest(sent, 1), sent, 0.0) if name == "sdgp" else sent
    assert torch.equal(y, linear(x, ahead, model.hidden.bias))
    assert torch.equal(dx, pruned @ back)
    assert torch.equal(dw, sent.mT @ x) and dw.shape == weight.master.shape


@every_method
def test_a_convolution_multiplies_by_its_masked_weights(name: str) -> None:
    model = sparse_network(name)
    Loop(model).run(3)
    x = torch.randn(3, 4, 5, 5)
    ahead, back = masked_by_hand(model, "conv")
    y, sent, dx, dw = through(model.conv, x)
    pruned = torch.where(largest(sent, 1), sent, 0.0) if name == "sdgp" else sent
    torch.testing.assert_close(y, conv2d(x, ahead, model.conv.bias, padding=1))
    torch.testing.assert_close(dx, torch.nn.grad.conv2d_input(x.shape, back, pruned, padding=1))
    torch.testing.assert_close(dw, torch.nn.grad.conv2d_weight(x, ahead.shape, sent, padding=1))


def masked_by_hand(model: nn.Module, layer: str) -> tuple[Tensor, Tensor]:
    """The weights of FF and BP, made of a layer's parameter and buffers by name."""
    module = model.get_submodule(layer)
    weight, buffers = module.get_parameter("weight").detach(), dict(module.named_buffers())
    if "mask_ff" not in buffers or weights_of(model)[layer].treatment.method.mask_use is not MaskUse.OPERANDS:
        return weight, weight
    return weight * buffers["mask_ff"], weight * buffers.get("mask_bp", buffers["mask_ff"])


@pytest.mark.parametrize("name", [name for name in METHOD_NAMES if name != "sdgp"])
def test_attention_multiplies_by_its_masked_weights(name: str) -> None:
    """Against attention by formula, where the gradient of a product's input is that of another weight."""
    model = sparse_network(name)
    Loop(model).run(3)
    model.double()
    attention, x = model.encoder.self_attn, torch.randn(2, 5, 16, dtype=torch.float64, requires_grad=True)
    used = {layer: weights_of(model)[f"{ATTENTION}.{layer}"] for layer in ("in_proj", "out_proj")}
    seen = {layer: [each.master.detach() * mask for mask in masks(each)] for layer, each in used.items()}

    def product(x: Tensor, layer: str, bias: Tensor) -> Tensor:
        ahead, back = seen[layer]
        sent = x @ back.mT
        return sent + (x @ ahead.mT - sent).detach() + bias

    q, k, v = product(x, "in_proj", attention.in_proj_bias).unflatten(-1, (3, 2, 8)).permute(2, 0, 3, 1, 4)
    mixed = (torch.softmax(q @ k.mT / 8**0.5, -1) @ v).transpose(1, 2).flatten(2)
    wanted = product(mixed, "out_proj", attention.out_proj.bias)
    found = attention(x, x, x, need_weights=False)[0]
    torch.testing.assert_close(found, wanted)
    gradient = torch.randn_like(found)
    torch.testing.assert_close(torch.autograd.grad(found, x, gradient), torch.autograd.grad(wanted, x, gradient))


def masks(weight: MaskedWeight) -> tuple[Tensor | float, Tensor | float]:
    """What FF and BP multiply a weight by."""
    ahead, back = weight.buffer("ff"), weight.buffer("bp")
    if ahead is None or weight.treatment.method.mask_use is not MaskUse.OPERANDS:
        return 1.0, 1.0
    return ahead, ahead if back is None else back


def test_masks_are_made_once_an_optimizer_step_and_hold_still_between() -> None:
    made: list[int] = []

    def counted(weight: Tensor, pattern: Pattern, known: Known, step: int) -> Tensor:
        made.append(step)
        return STE.forward_mask(weight, pattern, known, step)

    model = sparse_network(replace(STE, forward_mask=counted))
    loop, held = Loop(model), copied(model)
    assert made == [0] * len(LAYERS)
    names = [name for name in held if "mask" in name]

    def between(_: int) -> None:
        assert all(torch.equal(model.state_dict()[name], held[name]) for name in names)

    for step in range(1, 4):
        loop.run(1, between)
        assert made == [at for at in range(step + 1) for _ in LAYERS] and counters(model) == {step}
        assert any(not torch.equal(model.state_dict()[name], held[name]) for name in names if "step" not in name)
        held = copied(model)


@every_method
def test_autocast_multiplies_in_its_format_and_trains_weights_in_theirs(name: str) -> None:
    model = sparse_network(name)
    Loop(model, half=True).run(3)
    assert counters(model) == {3} and {value.dtype for value in model.parameters()} == {torch.float32}
    x = torch.randn(6, 16)
    ahead, back = (each.bfloat16() for each in masked_by_hand(model, "hidden"))
    with torch.autocast("cpu", torch.bfloat16):
        y, sent, dx, dw = through(model.hidden, x)
    pruned = torch.where(largest(sent, 1), sent, 0.0) if name == "sdgp" else sent
    assert (y.dtype, dx.dtype, dw.dtype) == (torch.bfloat16, torch.float32, torch.float32)
    if name != "mdgf":  # its factors are rounded before they multiply
        assert torch.equal(y, linear(x.bfloat16(), ahead, model.hidden.bias.bfloat16()))
        assert torch.equal(dx, (pruned @ back).float())
    assert torch.equal(dw, (sent.mT @ x.bfloat16()).float())


@pytest.mark.parametrize("name", [name for name in METHOD_NAMES if load_method(name).mask_use is MaskUse.OPERANDS])
def test_a_whole_model_under_autocast_is_its_plain_one(name: str) -> None:
    """Attention too, which runs its own forward pass."""
    model, x = sparse_network(name), batch(50)[0]
    Loop(model, half=True).run(STEPS)
    plain = finalize(model)
    with torch.autocast("cpu", torch.bfloat16):
        found, wanted = model(x), plain(x)
    assert found.dtype is torch.bfloat16 and torch.equal(found, wanted)
