"""The tensors of a checkpoint: what a training leaves in one, what it must find there, and how it takes them back."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar, final

import torch
from torch import Tensor, nn

from workloads.errors import UserError
from workloads.sparsity.masked_weight import masked_weights
from workloads.training.loop import Training

RANDOM, RANDOM_CUDA = "random", "random_cuda"  # states of the random numbers
BESIDE = "torch/"  # before the names of the same training in torch
Part = TypeVar("Part")
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
    found |= _beside(tensors_of(training.beside)) if training.beside else {}
    found |= _random(training)
    return {name: tensor.contiguous() for name, tensor in found.items()}


def _beside(found: Mapping[str, Part]) -> dict[str, Part]:
    """What belongs to the training beside another one, under names of its own; random numbers are those of both."""
    return {f"{BESIDE}{name}": each for name, each in found.items() if name not in (RANDOM, RANDOM_CUDA)}


def _random(training: Training) -> dict[str, Tensor]:
    """The state of the random numbers, that of the device too."""
    on_cuda = any(parameter.is_cuda for parameter in training.model.parameters())
    return {RANDOM: torch.get_rng_state()} | ({RANDOM_CUDA: torch.cuda.get_rng_state()} if on_cuda else {})


def slots_of(training: Training) -> dict[str, Slot]:
    """Every tensor that a checkpoint of a training may hold."""
    found = {f"weight/{name}": _like(tensor) for name, tensor in weights_of(training.model).items()}
    for name, parameter in training.model.named_parameters():
        for key in training.recipe.update.states:
            found[f"state/{name}/{key}"] = _like(parameter, f"state/{name}")
    for name in mask_names(training.model):
        found[f"weight/{name}"] = replace(found[f"weight/{name}"], types=FACTORS)
    found |= _beside(slots_of(training.beside)) if training.beside else {}
    return found | {name: _like(state) for name, state in _random(training).items()}


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
    if training.beside:
        names = {name.removeprefix(BESIDE): name for name in tensors if name.startswith(BESIDE)}
        restore(training.beside, {short: tensors[name] for short, name in names.items()} | {RANDOM: tensors[RANDOM]})
    with torch.no_grad():
        wanted = {name: tensors[f"weight/{name}"] for name in weights_of(training.model)}
        training.model.load_state_dict(wanted, strict=False)  # a tied parameter has other names too
    training.engine.state.clear()
    for name, parameter in training.model.named_parameters():
        found = {key: tensors.get(f"state/{name}/{key}") for key in training.recipe.update.states}
        state = {key: tensor.to(parameter.device, copy=True) for key, tensor in found.items() if tensor is not None}
        if state:
            training.engine.state[parameter] = state
    torch.set_rng_state(tensors[RANDOM].clone())
    if RANDOM_CUDA in tensors:
        torch.cuda.set_rng_state(tensors[RANDOM_CUDA].clone())


def mask_names(model: nn.Module) -> list[str]:
    """The names of the masks among a model's buffers; while a method lets weights fade they are factors."""
    masks = {id(each) for _, weight in masked_weights(model) for each in (weight.buffer("ff"), weight.buffer("bp"))}
    return [name for name, buffer in model.named_buffers() if id(buffer) in masks]


def _like(tensor: Tensor, group: str = "") -> Slot:
    return Slot(tuple(tensor.shape), (tensor.dtype,), group)


def _check_one(name: str, slot: Slot, tensor: Tensor) -> None:
    if tuple(tensor.shape) != slot.shape or tensor.dtype not in slot.types:
        wanted = f"{_shown(slot.shape)} of {' or '.join(map(_word, slot.types))}"
        raise UserError(f"holds '{name}' as {_shown(tensor.shape)} of {_word(tensor.dtype)}; wanted is {wanted}")
    if name.endswith("mask_order") and not torch.equal(
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
