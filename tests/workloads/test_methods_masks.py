"""Masks of single methods: against torch's own, against every pattern there is, and against known densities."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.sparse._semi_structured_conversions import _sparse_semi_structured_tile

from tests.workloads.small import SPARSE, batches, products_after, training, treated, weight_of
from workloads.errors import UserError
from workloads.methods.base import Axis, Known, Method
from workloads.methods.bimask import BIMASK
from workloads.methods.fields import changed
from workloads.methods.torch24 import TORCH24, TORCH24_MAGNITUDE
from workloads.methods.transposable import TRANSPOSABLE
from workloads.op import Phase, Role
from workloads.pattern import DENSE, Pattern, parse_pattern
from workloads.recording.measured import check_operand
from workloads.recording.record import record_pass
from workloads.sparsity.in_force import InForce
from workloads.training.masks import (
    best_2_of_4,
    best_order,
    greedy,
    group_mask,
    inverse,
    largest_group_count,
    patterns_2_of_4,
    reordered,
)

SHAPES = [(1, 16, 24, 1), (1, 8, 8, 9), (3, 7, 13, 1), (2, 5, 3, 4)]


def noise(*shape: int, ties: bool = False) -> Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    return (values * 2).round() / 2 if ties else values


def first(method: Method, weight: Tensor, pattern: str) -> Tensor:
    return method.forward_mask(weight, parse_pattern(pattern), Known(), 0)


# --- transposable ----------------------------------------------------------------------------------------------------


def test_there_are_90_patterns() -> None:
    patterns = patterns_2_of_4().reshape(-1, 4, 4)
    assert len({tuple(pattern.flatten().tolist()) for pattern in patterns}) == 90
    assert (patterns.sum(1) == 2).all() and (patterns.sum(2) == 2).all()


def test_two_of_four_is_the_best_there_is() -> None:
    weight = noise(1, 8, 12, 2)
    mask = best_2_of_4(weight)
    for row, col, tap in [(r, c, t) for r in (0, 4) for c in (0, 4, 8) for t in (0, 1)]:
        tile = weight[0, row : row + 4, col : col + 4, tap].abs()
        best = max(float((tile * pattern.reshape(4, 4)).sum()) for pattern in patterns_2_of_4())
        assert float((tile * mask[0, row : row + 4, col : col + 4, tap]).sum()) == pytest.approx(best)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("text", ["2:4", "2:8", "4:8", "1:4", "1:16"])
def test_transposable_masks_are_n_of_m_in_both_directions(text: str, shape: tuple[int, ...]) -> None:
    pattern = parse_pattern(text)
    mask = first(TRANSPOSABLE, noise(*shape), text).float()
    for axis in (Axis.INPUT_CHANNELS, Axis.OUTPUT_CHANNELS):
        assert largest_group_count(mask, pattern.m, axis) <= pattern.n
    assert mask.any()


def test_true_tiles_span_output_channels_unlike_blocks_of_one_output() -> None:
    one_way = group_mask(noise(1, 64, 128, 1), parse_pattern("4:8"), 2)
    assert largest_group_count(one_way.float(), 8, 1) > 4
    assert largest_group_count(first(TRANSPOSABLE, noise(1, 64, 128, 1), "4:8").float(), 8, 1) == 4


def share_kept(weight: Tensor, mask: Tensor, of: Tensor) -> float:
    return float((weight.abs() * mask).sum() / (weight.abs() * of).sum())


def test_magnitude_that_transposable_masks_keep() -> None:
    weight = noise(1, 64, 576, 1)
    whole = torch.ones_like(weight)
    one_way = group_mask(weight, parse_pattern("2:4"), 2)
    assert share_kept(weight, first(TRANSPOSABLE, weight, "2:4"), one_way) == pytest.approx(0.944, abs=0.003)
    assert share_kept(weight, group_mask(weight, parse_pattern("4:8"), 2), whole) == pytest.approx(0.766, abs=0.003)
    taken = first(TRANSPOSABLE, weight, "4:8")
    assert share_kept(weight, taken, whole) == pytest.approx(0.734, abs=0.003)
    ones = taken.reshape(8, 8, 72, 8).sum((1, 3))
    assert float((ones < 32).float().mean()) == pytest.approx(0.53, abs=0.05)


def test_greedy_keeps_at_least_half_of_the_best() -> None:
    """A little more, even, in some tiles: it may keep 7, and the 90 patterns are those that keep 8."""
    weight = noise(1, 64, 256, 1)
    taken, best = greedy(weight.abs(), 2, 4), best_2_of_4(weight)
    tiles = [(weight.abs() * mask).reshape(16, 4, 64, 4).sum((1, 3)) for mask in (taken, best)]
    ratio = tiles[0] / tiles[1]
    assert 0.5 <= float(ratio.min()) < 0.9 < float(ratio.mean()) < 1 < float(ratio.max()) < 1.1


# --- torch's 2:4 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("method", [TORCH24, TORCH24_MAGNITUDE])
def test_masks_are_those_of_torch(method: Method, ties: bool) -> None:
    weight = noise(1, 24, 32, 1, ties=ties)
    ranked = weight[0, :, :, 0] if method is TORCH24 else weight[0, :, :, 0].abs()
    shifted = ranked + 100  # torch marks what it drops by zeros, and zeros among the weights would hide it
    theirs = _sparse_semi_structured_tile(shifted.clone()) != 0
    before = weight.clone()
    assert torch.equal(first(method, weight, "2:4")[0, :, :, 0], theirs)
    assert torch.equal(weight, before)  # torch's function prunes its argument; ours leaves it alone


def test_torchs_default_ranks_signed_values() -> None:
    weight = noise(1, 64, 576, 1)
    signed, magnitude = (first(method, weight, "2:4") for method in (TORCH24, TORCH24_MAGNITUDE))
    assert float((weight[signed] > 0).float().mean()) == pytest.approx(0.74, abs=0.01)
    assert float((weight[magnitude] > 0).float().mean()) == pytest.approx(0.5, abs=0.01)
    assert float(weight.abs()[signed].mean()) == pytest.approx(0.877, abs=0.01)
    assert float(weight.abs()[~signed].mean()) == pytest.approx(0.721, abs=0.01)


# --- Bi-Mask ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "density"), [("2:4", 0.409), ("1:4", 0.174), ("2:8", 0.194), ("4:8", 0.434), ("1:16", 0.041)]
)
def test_density_of_bi_masks_on_random_weights(text: str, density: float) -> None:
    weight, pattern = noise(1, 64, 576, 1), parse_pattern(text)
    forward = first(BIMASK, weight, text)
    assert BIMASK.permutation and BIMASK.backward_mask
    order = BIMASK.permutation(forward, pattern, Known(), 0)
    backward = BIMASK.backward_mask(weight, pattern, Known(forward, order), 0)
    assert float(forward.float().mean()) == pattern.n / pattern.m
    assert float(backward.float().mean()) == pytest.approx(density, abs=0.002)
    assert not (backward & ~forward).any()
    assert largest_group_count(reordered(backward.float(), order), pattern.m, 1) == pattern.n
    assert largest_group_count(backward.float(), pattern.m, 1) > pattern.n


@pytest.mark.parametrize(
    ("shape", "text"), [((3, 16, 8, 1), "2:4"), ((2, 13, 5, 9), "1:8"), ((1, 600, 4, 1), "150:300")]
)
def test_the_order_is_the_first_of_the_best_candidates(shape: tuple[int, ...], text: str) -> None:
    pattern, groups, outside = parse_pattern(text), *shape[:2]
    mask = noise(*shape) > 0
    order = best_order(mask, pattern, 20, seed=1)
    generator = torch.Generator().manual_seed(1)
    candidates = torch.stack([torch.rand(groups, outside, generator=generator).argsort(-1) for _ in range(20)])
    kept = torch.stack([surviving(mask, each, pattern) for each in candidates])
    assert (kept.min(0).values < kept.max(0).values).all()
    assert torch.equal(order, torch.stack([candidates[best, group] for group, best in enumerate(kept.argmax(0))]))
    assert torch.equal(reordered(reordered(mask, order), inverse(order)), mask)


def surviving(mask: Tensor, order: Tensor, pattern: Pattern) -> Tensor:
    """By hand: what the groups of m channels of each convolution group keep."""
    ordered = torch.stack([group[places] for group, places in zip(mask, order, strict=True)])
    parts = [part.sum(1).clamp(max=pattern.n).sum((1, 2)) for part in ordered.split(pattern.m, 1)]
    return torch.stack(parts).sum(0)


def test_the_order_is_searched_every_period_and_kept_in_between() -> None:
    run, data, orders = training(changed(BIMASK, candidates=5, period=3)), batches(), []
    layer = weight_of(run.model, "middle")
    for _ in range(7):
        orders.append(layer.masks.permutation.clone())
        run.run_step(next(data))
    same = [torch.equal(before, after) for before, after in pairwise(orders)]
    assert same == [True, True, False, True, True, False]


def test_the_recorder_needs_the_order() -> None:
    run = training(changed(BIMASK, candidates=5))
    products = products_after(run, 2)
    recorded, _ = run.record_step(next(batches()))
    for layer in SPARSE:
        product = products[layer, Phase.BP]
        assert product.op.right.permutation == f"{layer}.weight.order"
        order = weight_of(run.model, layer).masks.permutation
        assert recorded.orders[f"{layer}.weight.order"] == tuple(map(tuple, order.tolist()))
        two_of_four = parse_pattern("2:4")
        check_operand(product.op, Role.WEIGHT, product.right, two_of_four, order)
        with pytest.raises(UserError, match=rf"layer '{layer}': the weight of BP has [34] non-zeros in a group of 4"):
            check_operand(product.op, Role.WEIGHT, product.right, two_of_four)
        with pytest.raises(UserError, match="along output channels, in their stored order; the pattern 1:4 allows 1"):
            check_operand(product.op, Role.WEIGHT, product.right, parse_pattern("1:4"), order)
    assert set(recorded.orders) == {f"{layer}.weight.order" for layer in SPARSE}


def test_a_step_recorded_without_the_order_is_refused() -> None:
    run = training(changed(BIMASK, candidates=5))
    inputs, targets = next(batches())

    def step() -> None:
        run.loss(run.model(inputs), targets).backward()

    with pytest.raises(UserError, match="the pattern 2:4 allows 2"):
        record_pass(run.model, run.loss, step, run.recipe.update.optimizer, InForce(run.model).pattern)


# --- odd sizes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [changed(BIMASK, candidates=3), TRANSPOSABLE])
def test_channels_fewer_than_a_group_are_filled_up(method: Method) -> None:
    layer = treated(nn.Conv2d(3, 5, 3), method, "2:8")
    assert layer.masks is not None and layer.pattern != DENSE
    assert largest_group_count(layer.canonical(layer.masks.forward).float(), 8, 2) == 2
    assert int(layer.masks.forward.sum(1).max()) == 2


def test_torch24_takes_multiples_of_four() -> None:
    with pytest.raises(UserError, match="layer 'head': method 'torch24': 10 output and 32 input channels; torch's 2:4"):
        training(TORCH24, "2:4,head=2:4")
