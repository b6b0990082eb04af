"""Real training steps on real data."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from tests.workloads import small
from workloads.errors import UserError
from workloads.methods.base import Method
from workloads.methods.bdwp import BDWP
from workloads.methods.dense import DENSE_TRAINING
from workloads.methods.fields import changed, load_method
from workloads.models.loss import IGNORED
from workloads.models.resnet import resnet9
from workloads.models.spec import ModelSpec
from workloads.models.vit import vit_s
from workloads.op import MatrixOp, Optimizer, Phase, VectorKind, VectorOp
from workloads.pattern import parse_pattern, parse_patterns
from workloads.recording.products import Product
from workloads.registry import METHODS, MODELS, load_entry, names
from workloads.training.data import batches
from workloads.training.flips import masks_of
from workloads.training.loop import LossScale, Recipe, Training
from workloads.training.masks import largest_group_count
from workloads.training.updates import AdamW, Momentum, update_for


def start(
    spec: ModelSpec = resnet9,
    method: Method | None = None,
    pattern: str = "2:8",
    mixed: bool = False,
    scale: float = 2.0**14,
    image: int = 16,
) -> Training:
    torch.manual_seed(3)
    recipe = Recipe(
        method or BDWP,
        parse_patterns([pattern]),
        spec.kept_dense,
        update_for(spec.optimizer, spec.learning_rate, 1e-4),
        mixed,
        LossScale(scale),
    )
    return Training(spec.build(width=0.25, image=image), recipe)


@pytest.mark.parametrize(("spec", "image"), [(resnet9, 16), (vit_s, 32)])
@pytest.mark.parametrize("mixed", [False, True])
def test_operands_after_real_steps_are_n_of_m(spec: ModelSpec, image: int, mixed: bool) -> None:
    training = start(spec, mixed=mixed, image=image)
    data = batches(spec, 4, image=image)
    for _ in range(2):
        training.run_step(next(data))
    dense = {name: parameter.detach().clone() for name, parameter in training.model.named_parameters()}
    seen: dict[tuple[str, Phase], float] = {}

    def watch(product: Product) -> None:
        if not product.weight or product.op.phase is Phase.WU:
            return
        axis = {Phase.FF: 1, Phase.BP: 0}[product.op.phase] if product.op.geometry else 0
        sparse = not product.op.right.pattern.is_dense
        assert sparse == (product.op.layer not in spec.kept_dense)
        if sparse:
            assert largest_group_count(product.right, 8, axis) == 2
            plain = product.op.geometry or product.op.phase is Phase.BP
            reference = dense[product.weight] if plain else dense[product.weight].T
            kept = product.right != 0
            assert torch.equal(product.right[kept], (reference.half().float() if mixed else reference)[kept])
            seen[product.op.layer, product.op.phase] = float(kept.float().mean())

    recorded, _ = training.record_step(next(data), watch)
    layers = set(training.sparse_layers)
    assert {layer for layer, _ in seen} == layers and len(seen) == 2 * len(layers)
    assert all(share == pytest.approx(0.25, abs=0.001) for share in seen.values())
    updates = {op.layer: op for op in recorded.ops if isinstance(op, VectorOp) and op.kind is VectorKind.UPDATE}
    both = ((Phase.FF, parse_pattern("2:8")), (Phase.BP, parse_pattern("2:8")))
    assert all(updates[layer].masks == both for layer in layers)
    assert all(updates[layer].masks == () for layer in spec.kept_dense)


def test_stem_and_classifier_stay_dense_unless_named() -> None:
    assert not {"prep.conv", "fc"} & set(start().sparse_layers)
    assert "fc" in start(pattern="2:8,fc=1:4").sparse_layers


def test_a_glob_that_names_no_layer_is_refused() -> None:
    with pytest.raises(UserError, match=r"pattern 'layr1\.\*': no layer has such a name; the layers are 'prep\.conv'"):
        start(pattern="2:8,layr1.*=1:4")


def test_dropped_weights_are_still_updated() -> None:
    training = start()
    before = training.model.get_parameter("layer2.conv.weight").detach().clone()
    layer = small.weight_of(training.model, "layer2.conv")
    assert layer.masks is not None
    neither = ~layer.masks.forward & ~layer.masks.backward
    training.run_step(next(batches(resnet9, 8, image=16)))
    assert (layer.master.detach() != before)[neither].float().mean() > 0.99


def test_masks_follow_the_weights() -> None:
    training = start()
    data = batches(resnet9, 8, image=16)
    layer = small.weight_of(training.model, "layer2.conv")
    first = masks_of(training.model)["layer2.conv"]
    layer.master.data = layer.master.data.flip(1)
    training.run_step(next(data))
    assert layer.masks is not None
    assert not torch.equal(layer.masks.forward, first.forward)


def test_decay_adds_its_share_of_the_dropped_weights() -> None:
    batch = next(batches(resnet9, 8, image=16))
    plain, decayed = start(), start(method=changed(BDWP, decay=0.5))
    name, mask = "layer2.conv.weight", masks_of(plain.model)["layer2.conv"]
    for training in (plain, decayed):
        training.run_step(batch)
    before = start().model.get_parameter(name).detach()
    difference = plain.model.get_parameter(name).detach() - decayed.model.get_parameter(name).detach()
    expected = resnet9.learning_rate * 0.5 * before * ~mask.forward
    torch.testing.assert_close(difference, expected, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("method", [DENSE_TRAINING, BDWP])
def test_training_learns(method: Method) -> None:
    training = start(method=method, pattern="2:4", mixed=True)
    data = batches(resnet9, 32, image=16)
    losses = [training.run_step(next(data)) for _ in range(25)]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_without_a_loss_scale_gradients_flush_to_zero() -> None:
    def zeros(scale: float) -> float:
        training = start(method=DENSE_TRAINING, mixed=True, scale=scale)
        for parameter in training.model.get_submodule("fc").parameters():
            parameter.data *= 1e-4
        recorded, _ = training.record_step(next(batches(resnet9, 8, image=16)))
        found = [op.left.zeros for op in recorded.ops if isinstance(op, MatrixOp) and op.phase is Phase.BP]
        return sum(share for share in found if share is not None) / len(found)

    assert zeros(1.0) > 0.5
    assert zeros(2.0**14) < 0.2


def test_an_overflow_leaves_the_step_out_and_halves_the_scale() -> None:
    training = start(mixed=True, scale=2.0**40)
    before = {name: parameter.detach().clone() for name, parameter in training.model.named_parameters()}
    training.run_step(next(batches(resnet9, 8, image=16)))
    assert training.scale.scale == 2.0**39
    assert all(torch.equal(parameter, before[name]) for name, parameter in training.model.named_parameters())


def test_the_loss_scale_grows_after_patience() -> None:
    scale = LossScale(8.0, patience=3)
    for _ in range(2):
        scale = scale.after(finite=True)
    assert scale.scale == 8.0
    assert scale.after(finite=True) == LossScale(16.0, patience=3)
    assert scale.after(finite=False) == LossScale(4.0, patience=3)


def test_the_loss_scale_leaves_updates_alone() -> None:
    batch = next(batches(resnet9, 8, image=16))
    small, large = start(mixed=True, scale=2.0**10), start(mixed=True, scale=2.0**12)
    for training in (small, large):
        training.run_step(batch)
    for name, parameter in small.model.named_parameters():
        torch.testing.assert_close(parameter, large.model.get_parameter(name), rtol=1e-3, atol=1e-5)


def one_update(update: Momentum | AdamW, steps: int) -> list[tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]]:
    generator = torch.Generator().manual_seed(1)
    weight, state = torch.randn(1000, generator=generator), {}
    history = []
    for step in range(1, steps + 1):
        gradient = torch.randn(1000, generator=generator) * 0.1
        update.apply(weight, gradient, state, step)
        copies = {key: value.clone().numpy() for key, value in state.items()}
        history.append((gradient.numpy(), weight.clone().numpy(), copies))
    return history


def test_momentum_rounds_every_operation() -> None:
    history = one_update(Momentum(0.05, 1e-3, 0.9), 3)
    f = np.float32
    for (_, weight, before), (gradient, after, state) in pairwise(history):
        velocity = before["momentum"] * f(0.9) + (gradient + weight * f(1e-3))
        np.testing.assert_array_equal(state["momentum"], velocity)
        np.testing.assert_array_equal(after, weight - velocity * f(0.05))


def test_adamw_rounds_every_operation() -> None:
    history = one_update(AdamW(1e-3, 0.01), 4)
    f = np.float32
    for step, ((_, weight, before), (gradient, after, state)) in enumerate(pairwise(history), 2):
        first = before["first_moment"] * f(0.9) + gradient * f(1 - 0.9)
        second = before["second_moment"] * f(0.999) + (gradient * gradient) * f(1 - 0.999)
        np.testing.assert_array_equal(state["first_moment"], first)
        np.testing.assert_array_equal(state["second_moment"], second)
        spread = np.sqrt(second) / f((1 - 0.999**step) ** 0.5) + f(1e-8)
        decayed = weight - weight * f(1e-3 * 0.01)
        np.testing.assert_array_equal(after, decayed - (first / spread) * f(1e-3 / (1 - 0.9**step)))


@pytest.mark.parametrize(
    ("update", "theirs"),
    [
        (Momentum(0.05, 1e-3), lambda weights: torch.optim.SGD(weights, 0.05, momentum=0.9, weight_decay=1e-3)),
        (AdamW(1e-3, 0.01), lambda weights: torch.optim.AdamW(weights, 1e-3, weight_decay=0.01)),
    ],
)
def test_updates_agree_with_torchs(update: Momentum | AdamW, theirs: object) -> None:
    ours, state = torch.randn(500), dict[str, torch.Tensor]()
    weight = nn.Parameter(ours.clone())
    optimizer = theirs([weight])  # type: ignore[operator]
    for step in range(1, 6):
        weight.grad = torch.randn(500)
        update.apply(ours, weight.grad, state, step)
        optimizer.step()
    torch.testing.assert_close(ours, weight.detach(), rtol=1e-5, atol=1e-6)


def test_a_state_is_kept_for_each_weight_as_the_optimizer_says() -> None:
    for optimizer in (Optimizer.MOMENTUM, Optimizer.ADAMW):
        update, state = update_for(optimizer, 0.1, 0.0), dict[str, torch.Tensor]()
        update.apply(torch.ones(3), torch.ones(3), state, 1)
        assert len(state) == update.optimizer.states


def test_registered_names() -> None:
    assert {"dense", "bdwp"} <= set(names(METHODS))
    assert load_method("bdwp") is BDWP
    assert load_entry(MODELS, "model", "resnet9") is resnet9
    with pytest.raises(UserError, match=r"unknown method 'bdwq'; did you mean 'bdwp'\? \(known: .*bdwp"):
        load_method("bdwq")


def test_dense_training_is_plain_training() -> None:
    torch.manual_seed(3)
    model = resnet9.build(width=0.25, image=16)
    training = start(method=DENSE_TRAINING, pattern="2:8")
    inputs, targets = batch = next(batches(resnet9, 8, image=16))
    training.gradients(batch)
    training.loss(model(inputs), targets).backward()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter.grad, training.model.get_parameter(name).grad), name
    assert training.sparse_layers == []


@pytest.mark.parametrize("parts", [2, 4])
def test_a_batch_in_parts_is_the_whole_batch_where_nothing_is_normalised(parts: int) -> None:
    inputs, targets = next(small.batches(8))
    targets = targets.clone()
    targets[:3] = IGNORED  # so that the parts weigh differently
    whole = small.training(BDWP, "2:4")
    cut = small.training(BDWP, "2:4")
    cut.recipe = replace(cut.recipe, parts=parts)
    losses = [run.gradients((inputs, targets)) for run in (whole, cut)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    for one, other in zip(whole.model.parameters(), cut.model.parameters(), strict=True):
        assert one.grad is not None and other.grad is not None
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6)
