"""What a module is called with: tensors drawn for the sizes that were asked for, or those that the caller has."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast, final

import torch
from torch import Tensor, nn

from workloads.errors import UserError
from workloads.recording.trace_request import Input
from workloads.training.memory import check_memory

BYTES = 4  # of the smallest number that is drawn
WANTED = "wanted is a tensor, batch first, a tuple of them, or a dict of them by name"


@final
@dataclass(frozen=True)
class Arguments:
    """Arguments of `forward`: by position, and by name. Each is a tensor, a container of tensors, or a constant."""

    positional: tuple[object, ...]
    named: Mapping[str, object]

    def of(self, change: Callable[[Tensor], Tensor]) -> "Arguments":
        """The same with every tensor changed."""
        named = {name: _changed(value, change) for name, value in self.named.items()}
        return Arguments(tuple(_changed(value, change) for value in self.positional), named)

    def call(self, module: nn.Module) -> object:
        return module(*self.positional, **self.named)


def drawn(inputs: Sequence[Input], model: nn.Module, values: bool) -> Arguments:
    """Random inputs for a module. values: whether they take memory. Raises UserError where there is too little."""
    if values:
        sizes = " ".join(str(each) for each in inputs)
        check_memory(BYTES * sum(math.prod(each.shape) for each in inputs), f"--input {sizes}")
    floats = (each.dtype for each in model.parameters() if each.is_floating_point())
    own = next(floats, torch.get_default_dtype())
    positional, named = [], dict[str, object]()
    for each in inputs:
        tensor = _drawn(each, own)
        if each.place:
            _put(named, each.place.split("."), tensor)
        else:
            positional.append(tensor)
    return Arguments(tuple(positional), {name: _listed(value) for name, value in named.items()})


def _drawn(wanted: Input, own: torch.dtype) -> Tensor:
    stored = getattr(torch, wanted.stored) if wanted.stored else None
    if wanted.fill:
        made = torch.ones if wanted.fill == "ones" else torch.zeros
        return made(wanted.shape, dtype=stored or torch.int64)
    if wanted.below is not None or (stored and not (stored.is_floating_point or stored.is_complex)):
        below = wanted.below if wanted.below is not None else 2
        return torch.randint(0, below, wanted.shape).to(stored or torch.int64)
    return torch.randn(wanted.shape, dtype=stored or own)


def _put(tree: dict[str, object], path: list[str], tensor: Tensor) -> None:
    for name in path[:-1]:
        tree = cast(dict[str, object], tree.setdefault(name, {}))
    tree[path[-1]] = tensor


def _listed(value: object) -> object:
    """A container whose names are 0, 1, 2 ..., in any order, is a list."""
    if not isinstance(value, dict):
        return value
    inner = {name: _listed(each) for name, each in value.items()}
    numbers = [str(number) for number in range(len(inner))]
    return [inner[number] for number in numbers] if inner.keys() == set(numbers) else inner


def given(inputs: object) -> tuple[Arguments, list[Input]]:
    """Copies of the caller's inputs, and what they are. Raises UserError where no tensor has a batch."""
    if isinstance(inputs, Mapping):
        arguments = Arguments((), dict(inputs))
    else:
        arguments = Arguments(tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,), {})
    arguments = arguments.of(lambda tensor: tensor.detach().clone())
    found = list(_tensors([*arguments.positional, *arguments.named.values()]))
    if not found or not found[0].dim():
        one = inputs[0] if isinstance(inputs, (tuple, list)) and len(inputs) else inputs
        none = isinstance(inputs, (tuple, list, dict)) and not inputs
        what = "none" if none else "a scalar" if isinstance(one, Tensor) else f"a {type(one).__name__}"
        raise UserError(f"inputs: {what}; {WANTED}")
    return arguments, [described(each) for each in found]


def _tensors(values: Iterable[object]) -> Iterable[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from _tensors(value)
        elif isinstance(value, Mapping):
            yield from _tensors(value.values())


def _changed(value: object, change: Callable[[Tensor], Tensor]) -> object:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, (tuple, list)):
        inner = [_changed(each, change) for each in value]
        make: Callable[..., object] = type(value)  # a tuple with names takes its parts one by one
        return make(*inner) if hasattr(value, "_fields") else make(inner)
    return {name: _changed(each, change) for name, each in value.items()} if isinstance(value, dict) else value


def described(tensor: Tensor) -> Input:
    """A tensor as an input: sizes, number format, and how large whole numbers in it are."""
    floating = tensor.dtype.is_floating_point or tensor.dtype.is_complex
    stored = "" if tensor.dtype in (torch.float32, torch.int64) else str(tensor.dtype).removeprefix("torch.")
    whole = not floating and tensor.dtype is not torch.bool and tensor.numel()
    return replace(Input(tuple(tensor.shape)), below=int(tensor.max()) + 1 if whole else None, stored=stored)
