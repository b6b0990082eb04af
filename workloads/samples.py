"""Small blocks of real tensors that ship beside a captured workload, in safetensors.

A block holds the first output and input channels of a layer's weight with all kernel positions, and what belongs to it:
the gradient and optimizer state before the update of the recorded step, the weight after it, and the first rows of the
operands of its products. Operands are FP16 values as the products saw them; output gradients carry the loss scale.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Interval
from numpy.typing import NDArray

from workloads.errors import UserError, unknown_name
from workloads.files.reading import checked, digest_of, parse_json
from workloads.files.tensors import read_tensors, write_tensors
from workloads.op import CLOSED

Array = NDArray[np.floating]
SETTINGS = "settings"  # key of the file's metadata
STATE = "state."
Number = Annotated[float, Interval(ge=-1e300, le=1e300)]
Rate = Annotated[float, Interval(ge=0, lt=1)]


@dataclass(frozen=True)
class LayerSample:
    """Blocks of one layer. o, c are the block's output and input channels.

    weight, weight_gradient, weight_after and every `state`: (o, c, kh, kw) or (o, c), FP32. The gradient has no loss
    scale. input: (images, c, h, w) from the map's upper left corner, or (rows, c); grad_output likewise with o; FP16.
    """

    layer: str
    weight: Array
    weight_gradient: Array
    weight_after: Array
    input: Array
    grad_output: Array
    state: Mapping[str, Array]


@dataclass(frozen=True)
class _Update:
    """Settings of the sampled update. Those that an optimizer does not have are None."""

    step: Annotated[int, Interval(ge=1, le=2**31)]  # counted from 1
    learning_rate: Number
    weight_decay: Number
    momentum: Number | None = None
    beta1: Rate | None = None
    beta2: Rate | None = None
    epsilon: Number | None = None

    __pydantic_config__: ClassVar[dict[str, str]] = CLOSED

    def states(self) -> tuple[str, ...]:
        """The states that the update starts from."""
        if self.beta1 is not None:
            return ("first_moment", "second_moment")
        return () if self.momentum is None else ("momentum",)


@dataclass(frozen=True)
class Samples:
    """A whole file: the blocks by layer, in its order, and the settings of the sampled update.

    settings: `step` counted from 1, `learning_rate` and what else the optimizer has.
    """

    layers: Mapping[str, LayerSample]
    settings: Mapping[str, float]


def read_samples(path: Path, digest: str = "") -> Samples:
    """A file of samples, read once as long as it stays the same.

    digest: the SHA-256 that it should have, empty where nobody noted that. Raises UserError for a file that is cut or
    altered, and for a tensor that is missing or is not what `LayerSample` says of it.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    return _read(path, digest, (status.st_ino, status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=1)  # ops of one step ask one after another
def _read(path: Path, digest: str, _unchanged: tuple[int, ...]) -> Samples:
    tensors, metadata = read_tensors(path, digest=digest)
    if SETTINGS not in metadata:
        raise UserError(f"{path}: {SETTINGS}: is missing")
    place = f"{path}: {SETTINGS}"
    update = checked(_Update, parse_json(metadata[SETTINGS], place, "the settings of an update are JSON"), place)
    if update.beta1 is not None and None in (update.beta2, update.epsilon):
        raise UserError(f"{place}: has beta1, and not all of beta2 and epsilon")
    parts: dict[str, dict[str, Any]] = defaultdict(dict)  # types of numbers are looked at in `_fault`
    for name, tensor in tensors.items():
        layer, _, field = name.rpartition("/")
        parts[layer][field] = tensor
    if not parts:
        raise UserError(f"{path}: holds no samples")
    settings = {name: value for name, value in vars(update).items() if value is not None}
    return Samples({layer: _sample(path, layer, found, update) for layer, found in parts.items()}, settings)


def _sample(path: Path, layer: str, found: dict[str, Array], update: _Update) -> LayerSample:
    """A layer's blocks. Raises UserError for what is missing, is there too much, or has another type or shape."""
    plain = [field.name for field in fields(LayerSample) if field.name not in ("layer", "state")]
    states = [STATE + name for name in update.states()]
    if update.step == 1 and "weight" in found and not any(name in found for name in states):
        found = found | {name: np.zeros_like(found["weight"]) for name in states}  # the first update starts from zeros
    wanted = [*plain, *states]
    for name in wanted:
        if name not in found:
            raise UserError(f"{path}: {layer}/{name}: is missing")
    for name in dict.fromkeys(("weight", "input", *found)):  # the others are held against these two
        if name not in wanted:
            raise UserError(f"{path}: {layer}/{name}: is no tensor of a sample, which has {', '.join(wanted)}")
        if wrong := _fault(name, found[name], found["weight"].shape, found["input"].shape):
            raise UserError(f"{path}: {layer}/{name}: {wrong}")
    state = {name.removeprefix(STATE): found[name] for name in states}
    return LayerSample(layer=layer, state=state, **{name: found[name] for name in plain})


def _fault(name: str, tensor: Array, weight: tuple[int, ...], given: tuple[int, ...]) -> str:
    """What is wrong with a tensor, in words; empty where nothing is."""
    operand = name in ("input", "grad_output")
    kind = np.dtype(np.float16 if operand else np.float32)
    if tensor.dtype != kind:
        return f"holds {tensor.dtype}; {kind} is wanted"
    if not tensor.size or tensor.ndim not in (2, 4):
        return f"has the shape {tensor.shape}; two or four axes are wanted, none of them empty"
    if not operand and tensor.shape != weight:
        return f"has the shape {tensor.shape}, and the weight {weight}; they are those of one block"
    if operand and tensor.shape[1] != weight[0 if name == "grad_output" else 1]:
        return f"has {tensor.shape[1]} channels, which do not fit a weight of {weight}"
    if operand and (tensor.ndim, tensor.shape[0]) != (len(given), given[0]):
        return f"has the shape {tensor.shape}, which does not fit an input of {given}"
    return ""


def sampled_layers(path: Path, digest: str = "") -> list[str]:
    """The layers a file of samples holds, in its order. Raises UserError as `read_samples` does."""
    return list(read_samples(path, digest).layers)


def update_settings(path: Path, digest: str = "") -> Mapping[str, float]:
    """The settings of the sampled update. Raises UserError as `read_samples` does."""
    return read_samples(path, digest).settings


def read_sample(path: Path, layer: str, digest: str = "") -> LayerSample:
    """The blocks of one layer. Raises UserError for a layer that has none, and as `read_samples` does."""
    samples = read_samples(path, digest)
    if layer not in samples.layers:
        raise unknown_name("sampled layer", layer, samples.layers, str(path))
    return samples.layers[layer]


def write_samples(samples: list[LayerSample], settings: Mapping[str, float], path: Path) -> str:
    """Write a file of samples, which appears whole or not at all. Returns its SHA-256, for the workload file."""
    tensors: dict[str, Array] = {}
    for sample in samples:
        plain = {name: value for name, value in vars(sample).items() if isinstance(value, np.ndarray)}
        states = {STATE + name: value for name, value in sample.state.items()}
        blocks = {name: value[:, :, None] if value.ndim == 3 else value for name, value in (plain | states).items()}
        tensors |= {f"{sample.layer}/{name}": value for name, value in blocks.items()}  # 1-D: height 1
    write_tensors(tensors, {SETTINGS: json.dumps(dict(settings))}, path)
    return digest_of(path)
