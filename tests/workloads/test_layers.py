"""Layers under BDWP: each phase uses its own operand, and the weight gradient is the dense one to the last bit."""

import pytest
import torch
from torch import Tensor, nn

from workloads.methods.bdwp import BDWP
from workloads.methods.dense import DENSE_TRAINING
from workloads.op import Phase, Role
from workloads.pattern import DENSE, parse_pattern
from workloads.training.layers import MethodConvolution, MethodLayer, MethodLinear, Treatment
from workloads.training.masks import group_mask, largest_group_count

CASES = {
    "3x3": (lambda: nn.Conv2d(16, 24, 3, padding=1), (3, 16, 9, 9)),
    "stride, no bias": (lambda: nn.Conv2d(16, 24, 3, stride=2, padding=1, bias=False), (2, 16, 9, 9)),
    "groups": (lambda: nn.Conv2d(24, 12, 3, groups=3, padding=1), (2, 24, 6, 6)),
    "depthwise": (lambda: nn.Conv2d(10, 10, 3, groups=10, padding=1), (2, 10, 6, 6)),
    "odd channels": (lambda: nn.Conv2d(13, 11, 1), (2, 13, 5, 5)),
    "one dimension": (lambda: nn.Conv1d(16, 24, 5, padding=2), (2, 16, 20)),
    "linear": (lambda: nn.Linear(32, 24), (6, 32)),
    "linear over tokens": (lambda: nn.Linear(32, 24, bias=False), (2, 5, 32)),
}


def treated(dense: nn.Module, pattern: str = "2:8", mixed: bool = False) -> MethodLayer:
    kind = MethodLinear if isinstance(dense, nn.Linear) else MethodConvolution
    layer = kind(dense, Treatment(BDWP, parse_pattern(pattern), mixed))  # type: ignore[arg-type]
    layer.make_masks(0)
    return layer


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
    layer = treated(dense)
    assert layer.masks is not None
    ahead, back = layer.weight * layer.masks.forward, layer.weight * layer.masks.backward
    y, dx, gradients = through(layer, x)
    _, _, of_dense = through(dense, x)
    for parameter, gradient in gradients.items():
        assert torch.equal(gradient, of_dense[parameter]), parameter  # WU is dense, bit for bit
    assert torch.equal(y, through(with_weight(dense, ahead), x)[0])
    assert torch.equal(dx, through(with_weight(dense, back), x)[1])


@pytest.mark.parametrize("name", CASES)
def test_masks_hold_along_their_axes_within_a_convolution_group(name: str) -> None:
    layer = treated(CASES[name][0](), "2:4")
    assert layer.masks is not None
    forward, backward = layer.canonical(layer.masks.forward), layer.canonical(layer.masks.backward)
    assert largest_group_count(forward.float(), 4, 2) <= 2
    assert largest_group_count(backward.float(), 4, 1) <= 2
    pattern, (groups, outside, inside, taps) = parse_pattern("2:4"), forward.shape
    assert int(forward.sum()) == groups * outside * taps * pattern.kept(inside)
    assert int(backward.sum()) == groups * inside * taps * pattern.kept(outside)


def test_the_two_masks_are_independent() -> None:
    masks = treated(nn.Linear(64, 64)).masks
    assert masks is not None
    overlap = float((masks.forward & masks.backward).sum() / masks.forward.sum())
    assert 0.55 < overlap < 0.8  # both keep large weights; neither contains the other
    assert (masks.backward & ~masks.forward).any() and (masks.forward & ~masks.backward).any()


def test_mixed_precision_rounds_every_operand() -> None:
    dense, x = nn.Conv2d(16, 24, 3, padding=1, bias=False), torch.randn(2, 16, 6, 6)
    y, dx, gradients = through(treated(dense, mixed=True), x)
    seen = dense.weight.detach().half().float()
    masks = treated(with_weight(dense, seen)).masks
    assert masks is not None
    gradient = torch.sin(torch.arange(y.numel(), dtype=torch.float32)).reshape(y.shape).half().float()
    rounded = x.half().float()
    at = ([1, 1], [1, 1], [1, 1], False, [0, 0], 1)
    assert torch.equal(y, torch.convolution(rounded, seen * masks.forward, None, *at))
    backward = torch.ops.aten.convolution_backward
    assert torch.equal(dx, backward(gradient, rounded, seen * masks.backward, None, *at, [True, False, False])[0])
    assert torch.equal(gradients["weight"], backward(gradient, rounded, seen, None, *at, [False, True, False])[1])


def test_mixed_precision_ranks_rounded_magnitudes() -> None:
    layer = treated(nn.Linear(8, 1, bias=False), "1:2", mixed=True)
    layer.weight.data = torch.tensor([[1.0, 1.0 + 2**-12, 1.0 + 2**-12, 1.0, 1.0, 1.0 + 2**-9, 0.5, 1.0]])
    layer.make_masks(1)
    assert layer.masks is not None
    assert layer.masks.forward.tolist() == [[True, False, True, False, False, True, False, True]]
    assert group_mask(layer.weight.data, parse_pattern("1:2"), 1).tolist()[0][:2] == [False, True]


def test_a_dense_layer_has_no_masks_and_says_so() -> None:
    layer = MethodLinear(nn.Linear(8, 8), Treatment(DENSE_TRAINING, parse_pattern("2:8"), False))
    layer.make_masks(0)
    assert layer.masks is None
    assert layer.pattern_of(Phase.FF, Role.WEIGHT) == DENSE
