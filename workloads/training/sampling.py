"""A short real training run of a model: measured zeros of every operand, and blocks of real tensors.

The network has its real weights and channels; images are smaller and texts shorter than at the captured shapes, so that
a run takes minutes on one thread. Zeros are shares, so they can stand beside shapes of another size; where they depend
on the size, they are those of the small run.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import final

import torch
from torch import Tensor

from workloads.methods.dense import DENSE_TRAINING
from workloads.models.spec import DataKind, ModelSpec
from workloads.op import MatrixOp, Op, Phase, Role
from workloads.pattern import PatternMap
from workloads.recording.products import Product
from workloads.samples import Array, LayerSample
from workloads.sparsity.masked_weight import masked_weights
from workloads.training.data import batches, describe
from workloads.training.loop import Recipe, Training
from workloads.training.updates import update_for

SEED = 2309
STEPS = 24
IMAGE = 64
IMAGE_BATCH = 16
TEXT_BATCH, TEXT_SEQUENCE = 4, 48
WEIGHT_DECAY = 1e-4
LAYERS = 4  # sampled, spread over the depth
CHANNELS, CHANNELS_OF_TAPS = 64, 32  # of a block: fewer where there are several kernel positions
ROWS = 256
WINDOW = 16  # pixels a side
Zeros = Mapping[tuple[str, str, int, str], float]


@final
@dataclass(frozen=True)
class Run:
    """What a run left behind. `zeros` is by layer, phase, the op's number among those of both, and side."""

    samples: list[LayerSample]
    zeros: Zeros
    settings: dict[str, float]
    dataset: str
    step: int
    loss: float
    loss_scale: float
    seed: int
    source: str


def sampled_run(spec: ModelSpec) -> Run:
    """Train the dense model in mixed precision for STEPS steps and record one more."""
    torch.manual_seed(SEED)
    image = min(IMAGE, spec.sizes.image) if spec.data is DataKind.IMAGES else None
    batch, sequence = (IMAGE_BATCH, 1) if image else (TEXT_BATCH, TEXT_SEQUENCE)
    update = update_for(spec.optimizer, spec.learning_rate, WEIGHT_DECAY)
    recipe = Recipe(DENSE_TRAINING, PatternMap(), spec.kept_dense, update, mixed=True)
    training = Training(spec.build(image=image), recipe)
    data = batches(spec, batch, sequence, image, SEED)
    for _ in range(STEPS):
        training.run_step(next(data))
    scale = training.scale.scale
    sampler = Sampler(training, spec.kept_dense)
    recorded, loss = training.record_step(next(data), sampler.watch)
    size = f"{batch} images of {image}x{image}" if image else f"{batch} texts of {sequence} bytes"
    return Run(
        samples=sampler.samples(),
        zeros=zeros_by_op(recorded.ops),
        settings={"step": training.step, **asdict(update)},
        dataset=describe(spec, image),
        step=training.step,
        loss=loss,
        loss_scale=scale,
        seed=SEED,
        source=f"zeros and tensors: step {training.step} of a dense run in mixed precision on {size}",
    )


def zeros_by_op(ops: tuple[Op, ...]) -> dict[tuple[str, str, int, str], float]:
    """Measured zeros of every operand."""
    found: dict[tuple[str, str, int, str], float] = {}
    seen: Counter[tuple[str, str]] = Counter()
    for op in ops:
        if isinstance(op, MatrixOp):
            key = (op.layer, op.phase.value)
            for side, operand in (("left", op.left), ("right", op.right)):
                if operand.zeros is not None:
                    found[*key, seen[key], side] = operand.zeros
            seen[key] += 1
    return found


def put_zeros(nodes: Sequence[Mapping[str, object]], zeros: Zeros) -> None:
    """Write measured zeros into ops in JSON, in place. Raises KeyError for an operand that was not measured."""
    seen: Counter[tuple[str, str]] = Counter()
    for node in (node for node in nodes if "left" in node):
        key = (str(node["layer"]), str(node["phase"]))
        for side in ("left", "right"):
            operand = node[side]
            assert isinstance(operand, dict)
            operand["zeros"] = round(zeros[*key, seen[key], side], 4)
        seen[key] += 1


@final
class Sampler:
    """Copies blocks while a step is recorded."""

    def __init__(self, training: Training, kept_dense: tuple[str, ...]) -> None:
        self._training = training
        self._parameters = dict(training.model.named_parameters())
        chosen = _spread([name for name, _ in masked_weights(training.model) if name not in kept_dense])
        self._names = {layer: f"{layer}.weight" for layer in chosen}
        self._before = {layer: _block(self._parameters[name]) for layer, name in self._names.items()}
        self._states = {layer: self._state(name) for layer, name in self._names.items()}
        self._rows: dict[str, tuple[Array, Array]] = {}

    def watch(self, product: Product) -> None:
        """Takes the operands of the WU product of a sampled layer."""
        layer = product.op.layer
        if layer in self._names and product.op.phase is Phase.WU:
            assert product.op.left.role is Role.ACTIVATION
            outside, inside = self._before[layer].shape[:2]
            stride = product.op.geometry.stride if product.op.geometry else (1, 1)
            images = _images(product.left)
            rows = product.left if product.op.geometry else product.left.mT
            x = _rows(rows, inside, images, (WINDOW, WINDOW))
            dy = _rows(product.right, outside, images, (WINDOW // stride[0], WINDOW // stride[1]))
            self._rows[layer] = (x, dy)

    def samples(self) -> list[LayerSample]:
        """The blocks, after the step."""
        return [self._sample(layer, name) for layer, name in self._names.items()]

    def _sample(self, layer: str, name: str) -> LayerSample:
        parameter = self._parameters[name]
        assert parameter.grad is not None
        return LayerSample(
            layer=layer,
            weight=self._before[layer],
            weight_gradient=_block(parameter.grad),  # from which the step took its loss scale
            weight_after=_block(parameter),
            input=self._rows[layer][0],
            grad_output=self._rows[layer][1],
            state=self._states[layer],
        )

    def _state(self, name: str) -> dict[str, Array]:
        return {key: _block(value) for key, value in self._training.states.get(name, {}).items()}


def _block(tensor: Tensor) -> Array:
    side = CHANNELS if math.prod(tensor.shape[2:]) == 1 else CHANNELS_OF_TAPS
    return _array(tensor[:side, :side])


def _spread(layers: list[str]) -> list[str]:
    """LAYERS of the layers over the depth, at distances that do not pick the same part of every block."""
    count = len(layers)
    chosen: list[int] = []
    for number in range(min(LAYERS, count)):
        place = ((2 * number + 1) * count // (2 * LAYERS) + number) % count
        while place in chosen:
            place = (place + 1) % count
        chosen.append(place)
    return [layers[place] for place in chosen]


def _images(x: Tensor) -> int:
    """Images of which the windows make about ROWS positions."""
    positions = math.prod(min(WINDOW, side) for side in x.shape[2:])
    return max(1, ROWS // positions)


def _rows(tensor: Tensor, channels: int, images: int, window: tuple[int, int]) -> Array:
    if tensor.dim() == 4:
        return _array(tensor[:images, :channels, : window[0], : window[1]].half())
    return _array(tensor[:ROWS, :channels].half())


def _array(tensor: Tensor) -> Array:
    array: Array = tensor.detach().clone(memory_format=torch.contiguous_format).numpy()
    return array
