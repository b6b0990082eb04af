"""Small blocks of real tensors that ship beside a captured workload, in safetensors.

A block holds the first output and input channels of a layer's weight with all kernel positions, and what belongs to it:
the gradient and optimizer state before the update of the recorded step, the weight after it, and the first rows of the
operands of its products. Operands are FP16 values as the products saw them; output gradients carry the loss scale.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from workloads.errors import UserError, unknown_name

Array = NDArray[np.floating]
SETTINGS = "settings"  # key of the file's metadata
STATE = "state."


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


def sampled_layers(path: Path) -> list[str]:
    """The layers a file of samples holds, in its order."""
    return list(dict.fromkeys(name.rpartition("/")[0] for name in _read(path)[0]))


def update_settings(path: Path) -> dict[str, float]:
    """The settings of the sampled update: `step` counted from 1, `learning_rate` and what else the optimizer has."""
    settings: dict[str, float] = json.loads(_read(path)[1][SETTINGS])
    return settings


def read_sample(path: Path, layer: str) -> LayerSample:
    """The blocks of one layer. Raises UserError for a layer that has none and for a file that cannot be read."""
    tensors, _ = _read(path)
    parts = {name.rpartition("/")[2]: value for name, value in tensors.items() if name.rpartition("/")[0] == layer}
    if not parts:
        raise unknown_name("sampled layer", layer, sampled_layers(path), str(path))
    state = {name.removeprefix(STATE): parts.pop(name) for name in list(parts) if name.startswith(STATE)}
    return LayerSample(layer=layer, state=state, **parts)


def write_samples(samples: list[LayerSample], settings: Mapping[str, float], path: Path) -> None:
    """Write a file of samples; it appears whole or not at all."""
    tensors: dict[str, Array] = {}
    for sample in samples:
        plain = {name: value for name, value in vars(sample).items() if isinstance(value, np.ndarray)}
        states = {STATE + name: value for name, value in sample.state.items()}
        tensors |= {f"{sample.layer}/{name}": np.ascontiguousarray(value) for name, value in (plain | states).items()}
    partial = path.with_name(path.name + ".partial")
    save_file(tensors, partial, metadata={SETTINGS: json.dumps(dict(settings))})
    partial.chmod(0o644)  # safetensors makes it readable by its owner alone
    partial.replace(path)


def _read(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
            return tensors, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: not a whole file of sampled tensors: {error}") from None
