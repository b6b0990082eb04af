"""Layers under BDWP: each phase uses its own operand, and the weight gradient is the dense one to the last bit."""

import pytest
import torch
from torch import Tensor, nn

from tests.workloads.small import treated
from workloads.methods.bdwp import BDWP
from workloads.methods.dense import DENSE_TRAINING
from workloads.pattern import DENSE, parse_pattern
from workloads.sparsity.sparsify import Asked, put
from workloads.training.masks import group_mask, largest_group_count

CASES = {
    "3x3": (lambda: nn.Conv2d(16, 24, 3, padding=1), (3, 16, 9, 9)),
    "stride, no bias": (lambda: nn.Conv2d(16, 24, 3, stride=2, padding=1, bias=False), (2, 16, 9, 9)),
    "groups": (lambda: nn.Conv2d(24, 12, 3, groups=3, padding=1), (2, 24, 6, 6)),
    "channels first": (lambda: nn.Conv2d(16, 8, 3).to(memory_format=torch.channels_last), (2, 16, 6, 6)),
    "three dimensions": (lambda: nn.Conv3d(16, 8, 3, padding=1), (2, 16, 4, 4, 4)),
    "one image": (lambda: nn.Conv2d(16, 24, 3), (16, 6, 6)),
    "odd channels": (lambda: nn.Conv2d(13, 11, 1), (2, 13, 5, 5)),
    "one dimension": (lambda: nn.Conv1d(16, 24, 5, padding=2), (2, 16, 20)),
    "linear": (lambda: nn.Linear(32, 24), (6, 32)),
    "linear over tokens": (lambda: nn.Linear(32, 24, bias=False), (2, 5, 32)),
}


def through(module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """(output, gradient of the input, gradients of the parameters) for a fixed output gradient."""
    x = x.clone().requires_grad_()
    y = module(x)
    module.zero_grad()
    y.backward(torch.sin(torch.arange(y.numel(), dtype=torch.float32)).reshape(y.shape))
    assert x.grad is not None
    return y.detach(), x.grad, {name: each.grad.clone() for name, each in module.named_parameters()}


def with_weight(dense: nn.Module, weight: Tensor) -> nn.Module:
    dense.weight.data = weight.detach().clone()
    return dense


@pytest.mark.parametrize("name", CASES)
def test_every_phase_uses_its_own_weight(name: str) -> None:
    make, shape = CASES[name]
    dense, x = make(), torch.randn(shape)
    layer = treated(dense, BDWP, "2:8")
    assert layer.masks is not None
    ahead, back = layer.master * layer.masks.forward, layer.master * layer.masks.backward
    y, dx, gradients = through(layer.module, x)
    _, _, of_dense = through(dense, x)
    for parameter, gradient in gradients.items():
        assert torch.equal(gradient, of_dense[parameter]), parameter  # WU is dense, bit for bit
    assert torch.equal(y, through(with_weight(dense, ahead), x)[0])
    assert torch.equal(dx, through(with_weight(dense, back), x)[1])


@pytest.mark.parametrize("name", CASES)
def test_masks_hold_along_their_axes_within_a_convolution_group(name: str) -> None:
    layer = treated(CASES[name][0](), BDWP, "2:4")
    assert layer.masks is not None
    forward, backward = layer.canonical(layer.masks.forward), layer.canonical(layer.masks.backward)
    assert largest_group_count(forward.float(), 4, 2) <= 2
    assert largest_group_count(backward.float(), 4, 1) <= 2
    pattern, (groups, outside, inside, taps) = parse_pattern("2:4"), forward.shape
    assert int(forward.sum()) == groups * outside * taps * pattern.kept(inside)
    assert int(backward.sum()) == groups * inside * taps * pattern.kept(outside)


def test_the_two_masks_are_independent() -> None:
    masks = treated(nn.Linear(64, 64), BDWP, "2:8").masks
    assert masks is not None
    overlap = float((masks.forward & masks.backward).sum() / masks.forward.sum())
    assert 0.55 < overlap < 0.8  # both keep large weights; neither contains the other
    assert (masks.backward & ~masks.forward).any() and (masks.forward & ~masks.backward).any()


def test_mixed_precision_rounds_every_operand() -> None:
    dense, x = nn.Conv2d(16, 24, 3, padding=1, bias=False), torch.randn(2, 16, 6, 6)
    y, dx, gradients = through(treated(dense, BDWP, "2:8", mixed=True).module, x)
    seen = dense.weight.detach().half().float()
    masks = treated(with_weight(dense, seen), BDWP, "2:8").masks
    assert masks is not None
    gradient = torch.sin(torch.arange(y.numel(), dtype=torch.float32)).reshape(y.shape).half().float()
    rounded = x.half().float()
    at = ([1, 1], [1, 1], [1, 1], False, [0, 0], 1)
    assert torch.equal(y, torch.convolution(rounded, seen * masks.forward, None, *at))
    backward = torch.ops.aten.convolution_backward
    assert torch.equal(dx, backward(gradient, rounded, seen * masks.backward, None, *at, [True, False, False])[0])
    assert torch.equal(gradients["weight"], backward(gradient, rounded, seen, None, *at, [False, True, False])[1])


def test_mixed_precision_ranks_rounded_magnitudes() -> None:
    layer = treated(nn.Linear(8, 1, bias=False), BDWP, "1:2", mixed=True)
    layer.master.data = torch.tensor([[1.0, 1.0 + 2**-12, 1.0 + 2**-12, 1.0, 1.0, 1.0 + 2**-9, 0.5, 1.0]])
    layer.make_masks(1)
    assert layer.masks is not None
    assert layer.masks.forward.tolist() == [[True, False, True, False, False, True, False, True]]
    assert group_mask(layer.master.data, parse_pattern("1:2"), 1).tolist()[0][:2] == [False, True]


def test_a_layer_that_a_method_does_nothing_to_stays_as_it_is() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Conv2d(10, 10, 3, groups=10))
    assert put(model, Asked(DENSE_TRAINING, lambda _: parse_pattern("2:8"))) == []
    assert put(model, Asked(BDWP, lambda layer: parse_pattern("2:8") if layer == "1" else DENSE)) == []
    assert [type(layer) for layer in model] == [nn.Linear, nn.Conv2d] and not list(model.buffers())
