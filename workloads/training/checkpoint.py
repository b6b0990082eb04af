"""Where a run can go on from: tensors in safetensors, the rest in JSON, both written aside and renamed.

The JSON names the tensors' file. It is renamed last, so at every moment it names one that is whole; the one before is
removed afterwards. With masks, gradients and the random state a run goes on as if nothing had happened, to the bit.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from workloads.errors import UserError
from workloads.pattern import parse_pattern
from workloads.training.layers import Masks, method_layers
from workloads.training.loop import LossScale, Training

NAME = "checkpoint.json"
TENSORS = "checkpoint-{step:06d}.safetensors"
SCHEMA = 1


@final
@dataclass(frozen=True)
class Checkpoint:
    """The JSON: which tensors belong to it, and what is no tensor. `data` and `seconds` are the run's."""

    schema: int
    step: int
    tensors: str
    loss_scale: Mapping[str, float]
    patterns: Mapping[str, str]
    data: str
    seconds: float


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name; a tied parameter once."""
    return {name: tensor.detach() for name, tensor in (*model.named_parameters(), *model.named_buffers())}


def save_checkpoint(training: Training, data: str, seconds: float, folder: Path) -> None:
    """Write a checkpoint and remove the one before. Raises UserError where it cannot be written."""
    path = folder / TENSORS.format(step=training.step)
    patterns = {name: str(layer.pattern) for name, layer in method_layers(training.model)}
    made = Checkpoint(SCHEMA, training.step, path.name, asdict(training.scale), patterns, data, seconds)
    write_tensors(_tensors(training), path)
    write_text(json.dumps(asdict(made), indent=1) + "\n", folder / NAME)
    for other in folder.glob(TENSORS.replace("{step:06d}", "*")):
        if other.name != path.name:
            other.unlink()


def load_checkpoint(training: Training, folder: Path) -> Checkpoint | None:
    """Bring a training to where its checkpoint was made; None where none was. Raises UserError for a broken one."""
    for partial in folder.glob("*.partial"):
        partial.unlink()
    path = folder / NAME
    if not path.exists():
        return None
    try:
        made = Checkpoint(**json.loads(path.read_text(encoding="utf-8")))
        tensors = {name: tensor.clone() for name, tensor in load_file(folder / made.tensors).items()}
        _restore(training, made, tensors)
        return made
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{path}: is not a whole checkpoint of this run: {type(error).__name__}: {error}") from None


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a safetensors file; it appears whole or not at all."""
    partial = _partial(path)
    try:
        save_file(dict(tensors), partial)
        partial.chmod(0o644)  # safetensors makes it readable by its owner alone
        _rename(partial, path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise UserError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from None


def write_text(text: str, path: Path) -> None:
    """Write a text file; it appears whole or not at all."""
    partial = _partial(path)
    try:
        partial.write_text(text, encoding="utf-8")
        _rename(partial, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None


def _tensors(training: Training) -> dict[str, Tensor]:
    found = {f"weight/{name}": tensor for name, tensor in weights_of(training.model).items()}
    for name, state in training.states.items():
        found |= {f"state/{name}/{key}": tensor for key, tensor in state.items()}
    for name, layer in method_layers(training.model):
        if layer.masks is None:
            continue
        for field in fields(Masks):
            tensor = getattr(layer.masks, field.name)
            if tensor is not None:
                found[f"mask/{name}/{field.name}"] = tensor.clone()  # both masks may be one tensor
        if layer.weight.grad is not None:
            found[f"gradient/{name}"] = layer.weight.grad
    found["random"] = torch.get_rng_state()
    return {name: tensor.contiguous() for name, tensor in found.items()}


def _restore(training: Training, made: Checkpoint, tensors: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, tensor in weights_of(training.model).items():
            tensor.copy_(tensors[f"weight/{name}"])
    training.states.clear()
    for key, tensor in tensors.items():
        if key.startswith("state/"):
            _, name, kind = key.split("/")
            training.states.setdefault(name, {})[kind] = tensor
    for name, layer in method_layers(training.model):
        layer.pattern = parse_pattern(made.patterns[name])
        found = {field.name: tensors.get(f"mask/{name}/{field.name}") for field in fields(Masks)}
        masks = {key: tensor for key, tensor in found.items() if tensor is not None}
        layer.masks = Masks(**{"permutation": None} | masks) if masks else None  # type: ignore[arg-type]
        layer.weight.grad = tensors.get(f"gradient/{name}")
    training.step = made.step
    training.scale = LossScale(
        made.loss_scale["scale"], int(made.loss_scale["patience"]), int(made.loss_scale["good_steps"])
    )
    torch.set_rng_state(tensors["random"])


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".partial")


def _rename(partial: Path, path: Path) -> None:
    """Rename what is safely on the disk."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)
