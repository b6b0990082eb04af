"""The golden backend: bit equal to the reference in torch, and to SORE's golden function; what the loss scale does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import pytest
from numpy.typing import NDArray

from rtl.formats import FP16
from rtl.golden.units import packed
from simulator.hil.golden_session import GoldenBackend, half_bits, kept
from workloads.conv import ConvGeometry
from workloads.errors import UserError
from workloads.op import MatrixOp, Op, Operand, Optimizer, Phase, Role, convolution_sizes
from workloads.pattern import DENSE, Pattern, parse_pattern
from workloads.training.backend import Begin, Layer, Session, UpdateRule, layers_of
from workloads.training.elsewhere import constants
from workloads.training.reference import ReferenceBackend
from workloads.training.updates import AdamW, Momentum, Update
from workloads.workload import Capture, Mode, Workload

RULES: list[Update] = [Momentum(0.03, 1e-2), AdamW(0.01, 1e-2)]
SCALE = 2.0**10


@final
@dataclass(frozen=True)
class Sizes:
    """A layer: kernel 1x1 is a linear one. With or without BP."""

    inputs: int
    outputs: int
    rows: int
    forward: str = "dense"
    backward: str | None = "dense"
    kernel: tuple[int, int] = (1, 1)


LAYERS = {
    "first": Sizes(13, 20, 9, "2:8", None),  # a last group of 5
    "tiny": Sizes(3, 4, 6, "1:2", "2:4"),
    "conv": Sizes(10, 12, 2 * 4 * 5, "2:4", "1:8", (3, 2)),
    "dense": Sizes(7, 5, 11),
    "same": Sizes(8, 8, 4, "8:8", "1:1"),
}


def step(layers: Mapping[str, Sizes]) -> Workload:
    ops: list[Op] = []
    for name, size in layers.items():
        weight = Operand(f"{name}.weight", Role.WEIGHT, parse_pattern(size.forward))
        x, dy = Operand(f"{name}.input", Role.ACTIVATION), Operand(f"{name}.grad_output", Role.GRADIENT)
        geometry, images = None, 1
        if size.kernel != (1, 1):
            images = 2
            geometry = ConvGeometry(size.inputs, size.outputs, size.kernel, (1, 1), (1, 1), (3, 4))
        for phase, left, right, sizes in (
            (Phase.FF, x, weight, (size.rows, size.inputs, size.outputs)),
            (Phase.BP, dy, weight, (size.rows, size.outputs, size.inputs)),
            (Phase.WU, x, dy, (size.inputs, size.rows, size.outputs)),
        ):
            if phase is Phase.BP:
                if size.backward is None:
                    continue
                right = Operand(f"{name}.weight", Role.WEIGHT, parse_pattern(size.backward))
            rows, inner, cols = convolution_sizes(geometry, phase, images) if geometry else sizes
            ops.append(MatrixOp(name, phase, rows, inner, cols, left, right, geometry=geometry, images=images))
    return Workload("m", "bdwp", "", 1, 1, Mode.TRAINING, tuple(ops), 1, 1, (), Capture("test", "test"))


def drawn(rng: np.random.Generator, *shape: int) -> NDArray[np.float16]:
    """Values with zeros, both signs of them, equal magnitudes and a few very large and very small ones."""
    found = rng.standard_normal(shape).astype(np.float16)
    flat = found.reshape(-1)
    for value in (0.0, -0.0, 0.5, -0.5, 6e-8, 300.0):
        flat[rng.random(flat.shape) < 0.05] = value
    return found


def weights_of(layers: Mapping[str, Layer], rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    found = {
        layer.parameter: drawn(rng, layer.forward.inner, layer.outputs).astype(np.float32) * np.float32(1.0001)
        for layer in layers.values()
    }
    return found | {"bias": rng.standard_normal(6).astype(np.float32)}


def same(*found: NDArray[np.floating]) -> None:
    first, second = found
    assert first.dtype == second.dtype and first.shape == second.shape
    np.testing.assert_array_equal(first.view(f"u{first.itemsize}"), second.view(f"u{first.itemsize}"))


def begun(update: Update, weights: Mapping[str, NDArray[np.float32]], work: Workload) -> list[Session]:
    what = Begin(work, weights, {}, UpdateRule(update.optimizer, SCALE))
    return [GoldenBackend().begin(what), ReferenceBackend().begin(what)]


def state_of(session: Session, names: Sequence[str]) -> list[NDArray[np.float32]]:
    return [each for name in names for each in (session.weight(name), *session.states(name).values())]


@pytest.mark.parametrize("update", RULES, ids=lambda update: update.optimizer.value)
@pytest.mark.parametrize("special", [False, True], ids=["finite", "with infinities"])
def test_products_masks_and_updates_are_those_of_the_reference(update: Update, special: bool) -> None:
    rng, work = np.random.default_rng([special, len(update.states)]), step(LAYERS)
    layers = layers_of(work)
    weights = weights_of(layers, rng)
    sessions = begun(update, weights, work)
    for number in range(1, 5):
        for name, layer in layers.items():
            left, right = (
                drawn(rng, layer.forward.rows, layer.forward.inner),
                drawn(rng, layer.forward.rows, layer.outputs),
            )
            if special:
                left[0, 0], right[-1, -1] = np.inf, np.nan
            same(*(each.forward(name, left) for each in sessions))
            same(*(each.weight_gradient(name, left, right) for each in sessions))
            if layer.backward:
                given = drawn(rng, layer.backward.rows, layer.backward.inner)
                same(*(each.input_gradient(name, given) for each in sessions))
        bias = rng.standard_normal(6).astype(np.float32)
        for each in sessions:
            settings = constants(update, SCALE, number)
            for layer in layers.values():
                each.update(layer.parameter, None, settings)
            each.update("bias", bias, settings)
        for pair in zip(*(state_of(each, list(weights)) for each in sessions), strict=True):
            same(*pair)
    assert not (sessions[0].weight("bias") == weights["bias"]).any()


@pytest.mark.parametrize("pattern", ["2:8", "1:4", "3:5", "8:8", "dense"])
@pytest.mark.parametrize(("taps", "length", "cols"), [(1, 16, 3), (6, 13, 4), (2, 3, 5)])
def test_copies_are_what_sore_packs(pattern: str, taps: int, length: int, cols: int) -> None:
    rng, found = np.random.default_rng(length), parse_pattern(pattern)
    right = half_bits(drawn(rng, taps * length, cols))
    made = kept(right, found, taps)
    n, m = (found.n, found.m) if found.is_grouped else (1, 1)
    for col in range(cols):
        runs = [packed(right[tap * length : (tap + 1) * length, col], FP16, n, m) for tap in range(taps)]
        values = np.concatenate([values for values, _, _ in runs])
        np.testing.assert_array_equal(made.values[:, col], values)
        groups = np.concatenate(
            [tap * length + m * np.cumsum([0, *ends[:-1]]) + at for tap, (_, at, ends) in enumerate(runs)]
        )
        np.testing.assert_array_equal(made.positions[:, col], groups)


@pytest.mark.parametrize("update", RULES, ids=lambda update: update.optimizer.value)
def test_the_scale_in_gradients_and_states_is_none_in_weights(update: Update) -> None:
    """With a power of two every rounding happens at the same bit."""
    rng = np.random.default_rng(3)
    weights = {"bias": rng.standard_normal(1000).astype(np.float32)}
    work = step({})
    scaled, plain = (
        GoldenBackend().begin(Begin(work, weights, {}, UpdateRule(update.optimizer, scale))) for scale in (SCALE, 1.0)
    )
    for number in range(1, 8):
        gradient = (rng.standard_normal(1000) * 10.0 ** rng.integers(-6, 2, 1000)).astype(np.float32)
        scaled.update("bias", gradient * np.float32(SCALE), constants(update, SCALE, number))
        plain.update("bias", gradient, constants(update, 1.0, number))
        same(scaled.weight("bias"), plain.weight("bias"))
    for name, power in (("momentum", 1), ("first_moment", 1), ("second_moment", 2)):
        if name in scaled.states("bias"):
            same(scaled.states("bias")[name], plain.states("bias")[name] * np.float32(SCALE**power))


def test_states_that_are_given_are_gone_on_from() -> None:
    rng, work = np.random.default_rng(4), step({"tiny": LAYERS["tiny"]})
    weights = {"tiny.weight": rng.standard_normal((3, 4)).astype(np.float32)}
    first = begun(RULES[1], weights, work)[0]
    gradients = [rng.standard_normal((3, 4)).astype(np.float32) for _ in range(2)]
    first.update("tiny.weight", gradients[0], constants(RULES[1], SCALE, 1))
    what = Begin(
        work, {"tiny.weight": first.weight("tiny.weight")}, {"tiny.weight": first.states("tiny.weight")},
        UpdateRule(Optimizer.ADAMW, SCALE),
    )  # fmt: skip
    others = [backend.begin(what) for backend in (GoldenBackend(), ReferenceBackend())]
    for each in (first, *others):
        each.update("tiny.weight", gradients[1], constants(RULES[1], SCALE, 2))
    for other in others:
        for pair in zip(*(state_of(each, ["tiny.weight"]) for each in (first, other)), strict=True):
            same(*pair)


def changed(op: MatrixOp, **changes: object) -> Workload:
    work = step({"tiny": LAYERS["tiny"], "conv": LAYERS["conv"]})
    ops = tuple(MatrixOp(**{**vars(each), **changes}) if each == op else each for each in work.ops)
    return Workload(**{**vars(work), "ops": ops})


def geometry(**changes: object) -> ConvGeometry:
    return ConvGeometry(**{**vars(conv_op().geometry), **changes})  # type: ignore[arg-type]


def conv_op() -> MatrixOp:
    found = next(op for op in step({"conv": LAYERS["conv"]}).ops if isinstance(op, MatrixOp))
    assert found.geometry is not None
    return found


def linear_op() -> MatrixOp:
    found = next(op for op in step({"tiny": LAYERS["tiny"]}).ops if isinstance(op, MatrixOp))
    assert found.phase is Phase.FF
    return found


STRIDED = "layer 'conv': the input gradient of a strided convolution comes in classes, which backends do not have"
SEARCHED = Operand("tiny.weight", Role.WEIGHT, parse_pattern("2:8"), permutation="order")


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (changed(conv_op(), geometry=geometry(stride=(2, 1))), STRIDED),
        (changed(conv_op(), geometry=geometry(groups=2)), "layer 'conv': is a convolution in 2 groups, and one is"),
        (changed(conv_op(), geometry=geometry(dilation=(1, 2))), "layer 'conv': is a dilated convolution"),
        (changed(conv_op(), geometry=geometry(transposed=True)), "layer 'conv': is a transposed convolution"),
        (changed(linear_op(), right=SEARCHED), "layer 'tiny': has groups of BP in an order of output channels"),
        (changed(linear_op(), right=linear_op().left), "layer 'tiny': multiplies activations by each other"),
        (changed(linear_op(), again=True), "layer 'tiny': is run again by activation checkpointing"),
        (changed(linear_op(), count=3), "layer 'tiny': is 3 products at once"),
        (changed(linear_op(), layer="conv"), "layer 'conv': has more than one product of FF in a step"),
        (changed(linear_op(), right=conv_op().right), "layer 'tiny': shares its weight with another layer"),
        (
            changed(linear_op(), right=Operand("tiny.weight", Role.WEIGHT, parse_pattern("fan-in 2"))),
            "layer 'tiny': has the pattern fan-in 2, and backends have n:m",
        ),
    ],
)
def test_what_no_backend_does_is_refused(work: Workload, said: str) -> None:
    for backend in (GoldenBackend(), ReferenceBackend()):
        with pytest.raises(UserError) as error:
            backend.begin(Begin(work, {}, {}, UpdateRule(Optimizer.MOMENTUM, 1.0)))
        assert str(error.value).startswith(said)


def test_layers_of_a_step_say_sizes_and_patterns() -> None:
    layers = layers_of(step(LAYERS))
    assert list(layers) == list(LAYERS)
    conv, first = layers["conv"], layers["first"]
    assert (conv.taps, conv.inputs, conv.outputs, conv.parameter) == (6, 10, 12, "conv.weight")
    assert first.backward is None and first.backward_pattern is None and str(first.forward_pattern) == "2:8"
    assert layers["dense"].forward_pattern == DENSE == Pattern()
