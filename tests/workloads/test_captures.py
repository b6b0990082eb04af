"""The captured workloads that ship: they load, scale, agree with a fresh recording, and are small."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import workloads
from workloads.errors import UserError
from workloads.masks import group_mask, largest_group_count
from workloads.op import MatrixOp, Op, Operand, Optimizer, Phase, Role, VectorKind, VectorOp
from workloads.pattern import parse_pattern
from workloads.recording.capture import shapes_at
from workloads.registry import MODELS, load_entry, names
from workloads.samples import read_sample, sampled_layers, update_settings
from workloads.shipped import FOLDER, load_shipped, shipped_models
from workloads.stored import instantiate
from workloads.workload import Workload

ALL = [
    *("bert-base", "bert-large", "gpt2-small", "mlp", "resnet152", "resnet18", "resnet50", "resnet9"),
    *("vgg19", "vit-b", "vit-s"),
]


def products(workload: Workload) -> list[MatrixOp]:
    return [op for op in workload.ops if isinstance(op, MatrixOp)]


def without_zeros(workload: Workload) -> list[Op]:
    def bare(operand: Operand) -> Operand:
        return replace(operand, zeros=None)

    return [
        replace(op, left=bare(op.left), right=bare(op.right)) if isinstance(op, MatrixOp) else op for op in workload.ops
    ]


def test_all_models_are_captured() -> None:
    assert shipped_models() == ALL
    assert set(ALL) <= set(names(MODELS))


def test_all_captures_together_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 20e6


@pytest.mark.parametrize("name", ["resnet18", "vit-s", "gpt2-small", "bert-base"])
def test_a_fresh_recording_at_another_size_is_the_same(name: str) -> None:
    spec = load_entry(MODELS, "model", name)
    batch, sequence = 6, 40 if spec.sequence > 1 else 1
    shipped = load_shipped(name, batch, sequence)
    fresh = shapes_at(spec, (batch, sequence))
    recorded = Workload(**{**vars(shipped), "ops": fresh.ops})
    assert without_zeros(shipped) == without_zeros(recorded)
    assert shipped.saved_elements == fresh.saved_elements
    assert shipped.parameters == fresh.parameters


def test_shapes_alone_are_those_of_the_capture(tmp_path: Path) -> None:
    """What a model of another distribution gets, whose capture does not ship."""
    template = workloads.captured_template(load_entry(MODELS, "model", "resnet9"))
    assert template.capture.source == "shapes recorded when asked for" and template.capture.masks == "derived"
    found, shipped = instantiate(template, tmp_path / "none.json", batch=6), load_shipped("resnet9", 6)
    assert found.ops == tuple(without_zeros(shipped)) and found.tensors is None
    told = {name: value for name, value in vars(found).items() if name not in ("ops", "tensors", "samples", "capture")}
    assert told == {name: getattr(shipped, name) for name in told}


@pytest.mark.parametrize("name", ALL)
def test_work_grows_with_the_batch_and_weights_do_not(name: str) -> None:
    small, large = load_shipped(name, 4), load_shipped(name, 8)
    assert large.macs == 2 * small.macs
    updates = [[op for op in each.ops if op.phase is Phase.UP] for each in (small, large)]
    assert updates[0] == updates[1]
    weights = [op for op in updates[0] if isinstance(op, VectorOp) and op.kind is VectorKind.UPDATE]
    assert sum(op.elements for op in weights) == small.parameters
    assert {op.optimizer for op in weights} <= {Optimizer.MOMENTUM, Optimizer.ADAMW}


@pytest.mark.parametrize("name", ALL)
def test_every_operand_has_measured_zeros(name: str) -> None:
    workload = load_shipped(name)
    shares = [operand.zeros for op in products(workload) for operand in (op.left, op.right)]
    assert all(share is not None and 0 <= share < 1 for share in shares)
    assert max(share for share in shares if share is not None) > 0
    capture = workload.capture
    assert capture.step > 0 and capture.loss is not None and capture.loss_scale > 1 and capture.masks == "derived"
    assert set(capture.versions) == {"python", "torch", "numpy", "scikit-learn"}


def test_relu_makes_zeros_and_batch_norm_keeps_gradients_dense() -> None:
    ops = products(load_shipped("resnet18"))
    after_relu = [op.left.zeros for op in ops if op.phase is Phase.FF and op.layer.endswith("conv2")]
    gradients = [op.left.zeros for op in ops if op.phase is Phase.BP and "conv" in op.layer]
    assert all(share is not None and 0.2 < share < 0.9 for share in after_relu)
    assert all(share is not None and share < 0.05 for share in gradients)


@pytest.mark.parametrize("name", ALL)
def test_forward_and_gradient_products_have_equal_macs(name: str) -> None:
    ops = products(load_shipped(name, 2))
    weights = [op for op in ops if op.right.role is Role.WEIGHT or op.phase is Phase.WU]
    forward, backward, gradient = (
        {op.layer: op for op in weights if op.phase is phase} for phase in (Phase.FF, Phase.BP, Phase.WU)
    )
    assert forward.keys() == gradient.keys()
    missing = forward.keys() - backward.keys()  # the first, whose input needs no gradient
    assert missing <= {next(iter(forward))} and missing <= {*load_shipped(name).kept_dense, "hidden"}
    assert all(op.macs == gradient[layer].macs for layer, op in forward.items())
    assert all(op.macs == forward[layer].macs for layer, op in backward.items())


def test_a_layers_products_share_their_tensors() -> None:
    for name in ALL:
        ops = products(load_shipped(name, 2))
        weights = {op.layer: op for op in ops if op.phase is Phase.FF and op.right.role is Role.WEIGHT}
        for op in ops:
            if op.phase is Phase.WU:
                assert op.left.tensor == weights[op.layer].left.tensor
            if op.phase is Phase.BP and op.right.role is Role.WEIGHT:
                assert op.right.tensor == weights[op.layer].right.tensor


def test_residual_branches_share_their_input() -> None:
    ops = {(op.layer, op.phase): op for op in products(load_shipped("resnet18"))}
    conv, shortcut = ops["layer2.0.conv1", Phase.FF], ops["layer2.0.downsample.conv", Phase.FF]
    assert conv.left.tensor == shortcut.left.tensor


@pytest.mark.parametrize("name", ALL)
def test_a_shipped_update_is_the_one_of_the_formula(name: str) -> None:
    """Weight, gradient and state before the step give the weight after it, bit for bit, in plain numpy."""
    path = load_shipped(name).tensors
    assert path is not None
    settings = update_settings(path)
    layers = sampled_layers(path)
    assert len(layers) == (1 if name == "mlp" else 4)  # of a perceptron only the hidden one is not kept dense
    for layer in layers:
        sample = read_sample(path, layer)
        state = {key: np.array(value) for key, value in sample.state.items()}
        after = _momentum(sample.weight, sample.weight_gradient, state, settings) if "momentum" in state else None
        after = _adamw(sample.weight, sample.weight_gradient, state, settings) if after is None else after
        np.testing.assert_array_equal(after, sample.weight_after)
        assert (sample.weight != sample.weight_after).mean() > 0.9


def _momentum(weight: np.ndarray, gradient: np.ndarray, state: dict, at: dict[str, float]) -> np.ndarray:
    f = np.float32
    velocity = state["momentum"] * f(at["momentum"]) + (gradient + weight * f(at["weight_decay"]))
    return weight - velocity * f(at["learning_rate"])


def _adamw(weight: np.ndarray, gradient: np.ndarray, state: dict, at: dict[str, float]) -> np.ndarray:
    f, b1, b2, rate = np.float32, at["beta1"], at["beta2"], at["learning_rate"]
    first = state["first_moment"] * f(b1) + gradient * f(1 - b1)
    second = state["second_moment"] * f(b2) + (gradient * gradient) * f(1 - b2)
    spread = np.sqrt(second) / f((1 - b2 ** at["step"]) ** 0.5) + f(at["epsilon"])
    return weight - weight * f(rate * at["weight_decay"]) - (first / spread) * f(rate / (1 - b1 ** at["step"]))


@pytest.mark.parametrize("name", ALL)
def test_sampled_operands_fit_their_layer(name: str) -> None:
    workload = load_shipped(name)
    assert workload.tensors is not None
    forward = {op.layer: op for op in products(workload) if op.phase is Phase.FF}
    vanished = []
    for layer in sampled_layers(workload.tensors):
        sample, op = read_sample(workload.tensors, layer), forward[layer]
        outside, inside = sample.weight.shape[:2]
        assert sample.input.dtype == sample.grad_output.dtype == np.float16
        assert sample.input.shape[1] == inside and sample.grad_output.shape[1] == outside
        assert sample.input.shape[0] == sample.grad_output.shape[0]
        assert outside <= op.cols and inside * (op.geometry.taps if op.geometry else 1) <= op.inner
        assert np.isfinite(sample.input).all() and (sample.grad_output != 0).any()
        vanished += [layer] if (sample.grad_output != 0).mean() < 0.02 else []
        mask = group_mask(sample.weight.astype(np.float16), parse_pattern("2:8"), axis=1)
        assert largest_group_count(mask, 8, axis=1) == 2
    # gradients hardly reach the first layers of a deep network with its norms last, 25 steps after its start
    assert vanished == (["layers.3.attn.qkv"] if name == "bert-large" else [])


def test_a_sampled_linear_product_is_the_layers_gradient() -> None:
    """All rows of the small run fit the block, so dY' X is the weight gradient times the loss scale."""
    workload = load_shipped("gpt2-small")
    assert workload.tensors is not None
    for layer in sampled_layers(workload.tensors):
        sample = read_sample(workload.tensors, layer)
        product = sample.grad_output.astype(np.float64).T @ sample.input.astype(np.float64)
        wanted = sample.weight_gradient * workload.capture.loss_scale
        np.testing.assert_allclose(product, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize(
    ("name", "batch", "sequence", "message"),
    [
        ("resnet-18", None, None, "unknown model 'resnet-18'; did you mean 'resnet18'?"),
        ("resnet18", 0, None, "model 'resnet18': the batch must be at least 1, not 0"),
        ("resnet18", None, 64, "model 'resnet18' has no sequence length; only the batch can be changed"),
    ],
)
def test_mistakes(name: str, batch: int | None, sequence: int | None, message: str) -> None:
    with pytest.raises(UserError) as error:
        load_shipped(name, batch, sequence)
    assert str(error.value).startswith(message)


def test_a_truncated_file_of_samples_is_refused(tmp_path: Path) -> None:
    whole = load_shipped("resnet18").tensors
    assert whole is not None
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"cut\.safetensors: not a whole file of tensors"):
        sampled_layers(cut)
    with pytest.raises(UserError, match="unknown sampled layer 'layer1'"):
        read_sample(whole, "layer1")


def test_sizes_are_functions_in_the_file() -> None:
    node = json.loads((FOLDER / "bert-base.json").read_text())
    scores = next(op for op in node["ops"] if op["layer"].endswith("attn.scores") and "rows" in op)
    assert scores["rows"] == {"S": 1} and scores["count"] == {"B": 12}
