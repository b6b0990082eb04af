"""Every method's law on real steps: which operand is n:m along which axis, which masks contain which, what dW is."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import conv2d, linear

from tests.workloads.small import (
    ADAMW,
    SGD,
    SPARSE,
    products_after,
    products_and_masks_after,
    through,
    training,
    treated,
    weight_of,
)
from workloads.errors import UserError
from workloads.methods.adams import ADAMS
from workloads.methods.bank import BANK
from workloads.methods.base import Axis, MaskSource, MaskUse, Method
from workloads.methods.bdwp import BDWP
from workloads.methods.bimask import BIMASK
from workloads.methods.dense import DENSE_TRAINING
from workloads.methods.fields import changed, fitted, load_method, settable
from workloads.methods.mdgf import MDGF
from workloads.methods.sdgf import SDGF
from workloads.methods.sdgp import SDGP
from workloads.methods.sdwp import SDWP
from workloads.methods.srigl import SRIGL
from workloads.methods.srste import SRSTE
from workloads.methods.ste import STE
from workloads.methods.torch24 import TORCH24, TORCH24_MAGNITUDE
from workloads.methods.transposable import TRANSPOSABLE
from workloads.models.vit import vit_s
from workloads.op import MatrixOp, Op, Phase, Role, VectorKind, VectorOp
from workloads.pattern import DENSE, parse_pattern, parse_patterns
from workloads.recording.products import Product
from workloads.recording.record import record_pass
from workloads.registry import METHODS, names
from workloads.sparsity.in_force import InForce
from workloads.sparsity.masked_weight import MaskedWeight
from workloads.sparsity.products import masked
from workloads.training.data import batches as digit_batches
from workloads.training.loop import Recipe, Training
from workloads.training.masks import largest_group_count, reordered

TWO_OF_FOUR: dict[str, Method] = {
    "ste": STE,
    "srste": SRSTE,
    "bdwp": BDWP,
    "sdwp": SDWP,
    "bimask": changed(BIMASK, candidates=10),
    "transposable": TRANSPOSABLE,
    "torch24": TORCH24,
    "torch24-magnitude": TORCH24_MAGNITUDE,
    "mdgf": changed(MDGF, total_steps=4),
    "sdgf": changed(SDGF, total_steps=4),
    "bank": changed(BANK, total_steps=4, start_share=0.0, stop_share=0.5, period=1),
}
EVERY = {
    **TWO_OF_FOUR,
    "sdgp": SDGP,
    "adams": ADAMS,
    "dense": DENSE_TRAINING,
    "srigl": changed(SRIGL, total_steps=4, period=2),
}
FADING = changed(MDGF, total_steps=100)


def pattern_for(method: Method) -> str:
    return "fan-in 24" if method.name == "srigl" else "2:4"


def test_every_registered_method_is_under_test() -> None:
    assert {method.name for method in EVERY.values()} == set(names(METHODS))
    for name in names(METHODS):
        method = load_method(name)
        assert method.name == name and method.makes_masks(0)
        assert fitted(method, 7).name == name and settable(fitted(method, 7)) == settable(method)


def most(product: Product, axis: Axis, order: Tensor | None = None) -> int:
    """The most non-zeros of any group of 4 of a weight operand along an axis of (G, O, C, T)."""
    return largest_group_count(in_groups(product, order), 4, axis)


def in_groups(product: Product, order: Tensor | None = None) -> Tensor:
    right = product.right if product.op.geometry or product.op.phase is Phase.BP else product.right.mT
    groups = product.op.geometry.groups if product.op.geometry else 1
    values = right.reshape(groups, right.shape[0] // groups, right.shape[1], -1)
    return values if order is None else reordered(values, order)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("name", TWO_OF_FOUR)
def test_weights_are_two_of_four_where_the_method_says_so_after_real_steps(name: str, mixed: bool) -> None:
    method = TWO_OF_FOUR[name]
    run = training(method, mixed=mixed)
    products, masks_then = products_and_masks_after(run, 4)
    for (layer, phase), product in products.items():
        if layer not in SPARSE or phase is Phase.WU:
            assert product.op.right.pattern.is_dense and product.op.left.pattern.is_dense
            continue
        operand = method.operand(phase, Role.WEIGHT)
        assert str(product.op.right.pattern) == ("2:4" if operand else "dense")
        masks = masks_then[layer]
        if operand:
            assert most(product, operand.axis, masks.permutation if operand.permuted else None) == 2
        assert (product.op.right.permutation is not None) == bool(operand and operand.permuted)
        of_mask = 1 - float((masks.forward if phase is Phase.FF else masks.backward).float().mean())
        assert product.op.right.zeros == pytest.approx(of_mask, abs=1e-5 if not mixed else 1e-3)


@pytest.mark.parametrize("name", TWO_OF_FOUR)
def test_masks_contain_each_other_as_the_method_says(name: str) -> None:
    run = training(TWO_OF_FOUR[name])
    products_after(run, 4)
    for layer in SPARSE:
        masks, method = weight_of(run.model, layer).masks, run.recipe.method
        match method.backward_from:
            case MaskSource.FORWARD_MASK:
                assert torch.equal(masks.forward, masks.backward)
            case MaskSource.PART_OF_FORWARD_MASK:
                assert not (masks.backward & ~masks.forward).any() and (masks.forward & ~masks.backward).any()
            case _:
                assert (masks.backward & ~masks.forward).any() or masks.forward.all()


@pytest.mark.parametrize("place", [FakeTensorMode, lambda: torch.device("meta")], ids=["fake", "meta"])
@pytest.mark.parametrize("name", EVERY)
def test_methods_are_recorded_without_values_too(
    name: str, place: Callable[[], AbstractContextManager[object]]
) -> None:
    """Patterns of operands without values are those of a real step."""
    method = EVERY[name]
    real = training(method, pattern_for(method), ADAMW).record_step((torch.randn(4, 1, 8, 8), torch.arange(4)))[0]
    with place():
        run = training(method, pattern_for(method), ADAMW)
        inputs, targets = torch.randn(4, 1, 8, 8), torch.randint(0, 10, (4,))
        fake = record_pass(
            run.model,
            run.loss,
            lambda: run.loss(run.model(inputs), targets).backward(),
            run.recipe.update.optimizer,
            InForce(run.model).pattern,
            None,
            InForce(run.model).order,
        )
    assert [shapes(op) for op in fake.ops] == [shapes(op) for op in real.ops]


@pytest.mark.parametrize("name", EVERY)
def test_attention_projections_are_trained_alike(name: str) -> None:
    method = EVERY[name]
    recipe = Recipe(method, parse_patterns([pattern_for(method)]), vit_s.kept_dense, ADAMW, mixed=True)
    run, data = Training(vit_s.build(width=0.125, image=32), recipe), digit_batches(vit_s, 2, image=32)
    run.run_step(next(data))
    ops = run.record_step(next(data))[0].ops
    projections = [op for op in ops if isinstance(op, MatrixOp) and op.layer.endswith(("qkv", "proj"))]
    assert len({op.layer for op in projections}) == 24
    in_force = method.pattern_at(parse_pattern(pattern_for(method)), 1)
    for operand, phase in ((operand, op.phase) for op in projections for operand in (op.left, op.right)):
        assert operand.pattern == (in_force if method.operand(phase, operand.role) else DENSE)


class Odd(nn.Module):
    """One dimension, depthwise, and channels that are no multiple of anything."""

    def __init__(self) -> None:
        super().__init__()
        self.flat = nn.Conv1d(8, 12, 3, padding=1)
        self.depthwise = nn.Conv1d(12, 12, 3, padding=1, groups=12)
        self.uneven = nn.Conv1d(12, 7, 1)
        self.last = nn.Linear(70, 5)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.last(self.uneven(self.depthwise(torch.relu(self.flat(x)))).flatten(1))
        return result


@pytest.mark.parametrize("name", EVERY)
def test_odd_layers_are_trained_or_refused_by_name(name: str) -> None:
    method = EVERY[name]
    recipe = Recipe(method, parse_patterns([pattern_for(method)]), (), ADAMW)
    batch = torch.randn(3, 8, 10), torch.arange(3)
    if name.startswith("torch24"):
        with pytest.raises(UserError, match=r"layer 'uneven': method 'torch24.*7 output and 12 input channels"):
            Training(Odd(), recipe)
        return
    run = Training(Odd(), recipe)
    before = run.run_step(batch)
    run.record_step(batch)
    assert run.run_step(batch) < before or name == "srigl"


def shapes(op: Op) -> Op:
    if isinstance(op, VectorOp):
        return op
    return replace(op, left=replace(op.left, zeros=None), right=replace(op.right, zeros=None))


def test_an_output_with_more_inputs_than_its_fan_in_is_refused() -> None:
    run = training(SRIGL, "fan-in 24")
    run.model.hidden.mask_ff[3] = True
    with pytest.raises(
        UserError, match=r"layer 'hidden': an output's weight of FF has 256 non-zeros; the pattern fan-in"
    ):
        run.record_step((torch.randn(4, 1, 8, 8), torch.arange(4)))


LAYERS = {
    "linear": (lambda: nn.Linear(32, 24, bias=False), (6, 32)),
    "convolution": (lambda: nn.Conv2d(16, 24, 3, stride=2, padding=1, bias=False), (3, 16, 9, 9)),
    "grouped": (lambda: nn.Conv2d(24, 16, 3, padding=1, groups=2, bias=False), (2, 24, 6, 6)),
}


def seen_weights(layer: MaskedWeight) -> tuple[Tensor, Tensor]:
    weight = layer.master.detach()
    if layer.masks is None or layer.treatment.method.mask_use is not MaskUse.OPERANDS:
        return weight, weight
    return masked(weight, layer.masks.forward), masked(weight, layer.masks.backward)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("name", [*(name for name in EVERY if name != "dense"), "mdgf fading"])
def test_products_of_a_layer_are_those_of_its_masks_and_dw_is_the_dense_one(name: str, kind: str) -> None:
    method = EVERY.get(name, FADING)
    make, shape = LAYERS[kind]
    dense, x = make(), torch.randn(shape)
    layer = treated(dense, method, pattern_for(method))
    ahead, back = seen_weights(layer)
    y, gradient, dx, dw = through(layer.module, x)
    assert torch.equal(dw, through(dense, x)[3])  # WU is dense, bit for bit: no mask reaches it
    assert torch.equal(y, with_weight(kind, x, ahead, dense))
    sent = layer.pruned(gradient, 1)
    at = x.clone().requires_grad_()
    with_weight(kind, at, back, dense).backward(sent)
    assert at.grad is not None and torch.equal(dx, at.grad)
    assert torch.equal(sent, gradient) == (method.name != "sdgp")


def with_weight(kind: str, x: Tensor, weight: Tensor, like: nn.Module) -> Tensor:
    if kind == "linear":
        return linear(x, weight)
    return conv2d(x, weight, None, like.stride, like.padding, like.dilation, like.groups)


def test_ste_is_dense_along_output_channels() -> None:
    products = products_after(training(STE), 2)
    for layer in SPARSE:
        product = products[layer, Phase.BP]
        assert most(product, Axis.OUTPUT_CHANNELS) > 2
        assert (product.op.right.pattern.is_dense, product.op.right.zeros) == (True, 0.5)


def test_sdwp_is_dense_forward() -> None:
    products = products_after(training(SDWP), 2)
    for layer in SPARSE:
        assert products[layer, Phase.FF].op.right.zeros == pytest.approx(0.0, abs=1e-3)
        assert products[layer, Phase.BP].op.right.zeros == 0.5


def test_sdgp_prunes_the_output_gradient_of_bp_alone() -> None:
    run = training(SDGP)
    assert set(run.sparse_layers) == set(SPARSE)
    products = products_after(run, 3)
    for layer in SPARSE:
        pruned, whole = products[layer, Phase.BP], products[layer, Phase.WU]
        assert str(pruned.op.left.pattern) == "2:4" and whole.op.right.pattern.is_dense
        assert pruned.op.right.pattern.is_dense and products[layer, Phase.FF].op.right.pattern.is_dense
        groups = pruned.op.geometry.groups if pruned.op.geometry else 1
        assert largest_group_count(pruned.left.unflatten(1, (groups, -1)), 4, 2) == 2
        kept = pruned.left != 0
        assert torch.equal(pruned.left[kept], whole.right[kept])  # kept ones are not scaled
        assert pruned.op.left.zeros >= 0.5 and pruned.op.left.zeros > whole.op.right.zeros
        assert pruned.op.left.tensor != whole.op.right.tensor


def test_pruning_gradients_is_work_of_the_step() -> None:
    ops = training(SDGP).record_step((torch.randn(4, 1, 8, 8), torch.arange(4)))[0].ops
    masks = {op.layer: op for op in ops if isinstance(op, VectorOp) and op.kind is VectorKind.MASK}
    assert set(masks) == set(SPARSE) and {op.phase for op in masks.values()} == {Phase.BP}
    assert all(op.masks == () for op in ops if isinstance(op, VectorOp) and op.kind is VectorKind.UPDATE)


def test_sdgp_prunes_each_position_by_magnitude_with_ties_to_the_lower_channel() -> None:
    gradient = torch.tensor([[[1.0, -3.0, 2.0, 0.5, 1.0, 1.0, -1.0, 1.0]]])
    pruned = SDGP.pruned_gradient(gradient, parse_pattern("2:4"))
    assert pruned.tolist() == [[[0.0, -3.0, 2.0, 0.0, 1.0, 1.0, 0.0, 0.0]]]


def test_adams_trains_dense() -> None:
    run = training(changed(ADAMS, total_steps=4), update=ADAMW)
    recorded, _ = run.record_step(next(iter([(torch.randn(4, 1, 8, 8), torch.arange(4))])))
    products = [op for op in recorded.ops if isinstance(op, MatrixOp)]
    assert all(op.left.pattern.is_dense and op.right.pattern.is_dense for op in products)


def test_srigl_keeps_one_fan_in_and_dropped_weights_stay_zero() -> None:
    run = training(changed(SRIGL, total_steps=8, period=2), "fan-in 24", SGD)
    products = products_after(run, 4)
    for layer in SPARSE:
        product = products[layer, Phase.FF]
        assert str(product.op.right.pattern) == "fan-in 24" and products[layer, Phase.BP].op.right.pattern.is_dense
        rows = (product.right if product.op.geometry else product.right.mT).flatten(1)
        assert set((rows != 0).sum(1).tolist()) <= set(range(12, 25))  # grown ones start from 0
        module = weight_of(run.model, layer)
        assert set(module.masks.forward.flatten(1).sum(1).tolist()) == {24}
        assert not module.master.detach()[~module.masks.forward].any()
        assert not run.states[f"{layer}.weight"]["momentum"][~module.masks.forward].any()
