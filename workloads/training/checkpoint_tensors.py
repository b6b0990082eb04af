"""The tensors of a checkpoint: what a training leaves in one, what it must find there, and how it takes them back."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import final

import torch
from torch import Tensor, nn

from workloads.errors import UserError
from workloads.training.layers import Masks, MethodLayer, method_layers
from workloads.training.loop import Training

RANDOM = "random"
FACTORS = (torch.bool, torch.float32)  # a mask keeps or drops, or lets a weight fade


@final
@dataclass(frozen=True)
class Slot:
    """What a tensor of a checkpoint looks like. A part of a group is there with all the others of it, or not at all."""

    shape: tuple[int, ...]
    types: tuple[torch.dtype, ...]
    group: str = ""
    optional: bool = False  # a group may do without it


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name; a tied parameter once."""
    return {name: tensor.detach() for name, tensor in (*model.named_parameters(), *model.named_buffers())}


def tensors_of(training: Training) -> dict[str, Tensor]:
    """The state of a training by name."""
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
    found[RANDOM] = torch.get_rng_state()
    return {name: tensor.contiguous() for name, tensor in found.items()}


def slots_of(training: Training) -> dict[str, Slot]:
    """Every tensor that a checkpoint of a training may hold."""
    found = {f"weight/{name}": _like(tensor) for name, tensor in weights_of(training.model).items()}
    for name, parameter in training.model.named_parameters():
        for key in training.recipe.update.states:
            found[f"state/{name}/{key}"] = _like(parameter, f"state/{name}")
    for name, layer in method_layers(training.model):
        shape, group = tuple(layer.weight.shape), f"mask/{name}"
        found[f"{group}/forward"] = found[f"{group}/backward"] = Slot(shape, FACTORS, group)
        found[f"{group}/permutation"] = Slot(_order_shape(layer), (torch.int64,), group, True)
        found[f"gradient/{name}"] = Slot(shape, (layer.weight.dtype,), group, True)
    return found | {RANDOM: _like(torch.get_rng_state())}


def check_tensors(slots: Mapping[str, Slot], absent: Collection[str], tensors: Mapping[str, Tensor]) -> None:
    """Raises UserError where the tensors are not those that the slots ask for, less those that are absent."""
    for name in sorted(tensors.keys() - slots.keys()):
        raise UserError(f"holds the tensor '{name}', which this run does not have")
    for name in sorted(slots.keys() - tensors.keys() - set(absent)):
        raise UserError(f"does not hold the tensor '{name}'")
    for name in absent:
        if name not in slots or name in tensors:
            raise UserError(f"says that there is no tensor '{name}'")
    groups = {slots[name].group for name in tensors}
    for name, slot in slots.items():
        if name in tensors:
            _check_one(name, slot, tensors[name])
        elif slot.group not in groups and slot.group:
            continue
        elif not slot.optional:
            raise UserError(f"does not hold the tensor '{name}'")


def restore(training: Training, tensors: Mapping[str, Tensor]) -> None:
    """Put checked tensors where a training had them."""
    with torch.no_grad():
        for name, tensor in weights_of(training.model).items():
            tensor.copy_(tensors[f"weight/{name}"])
    training.states.clear()
    for name, _ in training.model.named_parameters():
        found = {key: tensors.get(f"state/{name}/{key}") for key in training.recipe.update.states}
        state = {key: tensor.clone() for key, tensor in found.items() if tensor is not None}
        if state:
            training.states[name] = state
    for name, layer in method_layers(training.model):
        forward, backward, order, gradient = (
            None if tensor is None else tensor.clone() for tensor in _parts(name, tensors)
        )
        layer.masks = None if forward is None or backward is None else Masks(forward, backward, order)
        layer.weight.grad = gradient
    torch.set_rng_state(tensors[RANDOM].clone())


def _parts(layer: str, tensors: Mapping[str, Tensor]) -> Iterator[Tensor | None]:
    names = [f"mask/{layer}/{field.name}" for field in fields(Masks)]
    return (tensors.get(name) for name in (*names, f"gradient/{layer}"))


def _like(tensor: Tensor, group: str = "") -> Slot:
    return Slot(tuple(tensor.shape), (tensor.dtype,), group)


def _order_shape(layer: MethodLayer) -> tuple[int, ...]:
    return layer.groups, layer.weight.shape[0] // layer.groups


def _check_one(name: str, slot: Slot, tensor: Tensor) -> None:
    if tuple(tensor.shape) != slot.shape or tensor.dtype not in slot.types:
        wanted = f"{_shown(slot.shape)} of {' or '.join(map(_word, slot.types))}"
        raise UserError(f"holds '{name}' as {_shown(tensor.shape)} of {_word(tensor.dtype)}; wanted is {wanted}")
    if name.endswith("/permutation") and not torch.equal(
        tensor.sort(-1).values, torch.arange(slot.shape[-1]).expand(slot.shape)
    ):
        raise UserError(f"holds '{name}' that is no order of channels")
    if name == RANDOM:
        try:
            torch.Generator().set_state(tensor.clone())
        except RuntimeError:
            raise UserError("holds a state of the random numbers that is none") from None


def _shown(shape: Collection[int]) -> str:
    return "x".join(str(size) for size in shape) or "a single number"


def _word(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")
